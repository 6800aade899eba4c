"""Which seeds may be rendered, and which part of the data each belongs to. The law of the ranges."""

from __future__ import annotations

from typing import Literal

import numpy as np

from idvid.errors import SeedError

Split = Literal["train", "validation", "test"]
VALIDATION_START, TEST_START, SEED_END = 900_000, 950_000, 1_000_000


def check_seed(seed: int) -> int:
    """Return the seed, or refuse it when no person or scene may be made from it.

    Raises:
        SeedError: outside 0..999,999.
    """
    if not 0 <= seed < SEED_END:
        raise SeedError(
            f"Seed {seed} is outside 0 to 999,999; choose a seed of a synthetic person in that range."
        )
    return int(seed)


def split_of(seed: int) -> Split:
    """Part of the data a seed belongs to; the split is never redrawn.

    Raises:
        SeedError: outside 0..999,999.
    """
    check_seed(seed)
    if seed < VALIDATION_START:
        return "train"
    return "validation" if seed < TEST_START else "test"


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """An independent random stream per purpose, so that one choice never shifts another."""
    return np.random.default_rng([check_seed(seed), *purpose])

"""Which seeds a training clip is made of. The law of the ranges itself is `idvid.people.seeds`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idvid.errors import SeedError
from idvid.people.seeds import TEST_START, VALIDATION_START, check_seed, split_of

if TYPE_CHECKING:
    from idvid.people.seeds import Split

MAX_PEOPLE = 4
_IN_ROW = 3  # people whose seeds lie side by side; the fourth one's lies in the last third
_RANGES: dict[Split, range] = {
    "train": range(VALIDATION_START),
    "validation": range(VALIDATION_START, TEST_START),
}


def scene_seed(split: Split, clip: int) -> int:
    """The scene of the split's clip number `clip`.

    Raises:
        SeedError: the split has no such clip.
    """
    return _checked(split, _RANGES[split].start + clip)


def person_seeds(split: Split, clip: int, count: int) -> list[int]:
    """The people of a clip; nobody appears in two clips.

    Raises:
        SeedError: the split has no such clip.
    """
    most = max_clips(split)
    if clip >= most:
        message = f"The {split} people are enough for {most:,} clips; ask for fewer clips."
        raise SeedError(message)
    start = _RANGES[split].start
    first, fourth = start + clip * _IN_ROW, start + _IN_ROW * most + clip
    return [*range(first, first + _IN_ROW), fourth][:count]


def max_clips(split: Split) -> int:
    """How many clips a split has people for: rows of three fill two thirds of its seeds."""
    return 2 * (len(_RANGES[split]) // 3) // _IN_ROW


def detail_seed(split: Split, number: int) -> int:
    """A seed for light, pose or wording; these may repeat, people and scenes may not."""
    return check_seed(_RANGES[split][number % len(_RANGES[split])])


def _checked(split: Split, seed: int) -> int:
    if split_of(check_seed(seed)) != split:
        raise SeedError(f"Seed {seed} does not belong to the {split} people; ask for fewer clips.")
    return seed

"""Smooth idle movement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A sum of sines."""

    terms: tuple[tuple[float, float, float], ...]  # amplitude, hertz, phase

    def at(self, time_s: NDArray) -> NDArray[np.float64]:
        """Values (T,)."""
        total = np.zeros(len(time_s))
        for amplitude, hertz, phase in self.terms:
            total += amplitude * np.sin(2 * np.pi * hertz * time_s + phase)
        return total


def sample_wave(rng: Generator, amplitude: float, hertz: tuple[float, float] = (0.12, 0.7)) -> Wave:
    """Three sines that reach about the amplitude."""
    return Wave(
        terms=tuple(
            (
                float(amplitude * rng.uniform(0.16, 0.53)),
                float(rng.uniform(*hertz)),
                float(rng.uniform(0, 2 * np.pi)),
            )
            for _ in range(3)
        )
    )

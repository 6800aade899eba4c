"""How sharp pictures are: the strength of their edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def edge_strength(frames: NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbouring pixels, across plus down, in levels of 0..255.

    It is compared with that of real renders of the same scenes: blur and haze lower it.

    Args:
        frames: (T, H, W, 3) RGB.
    """
    levels = frames.astype(np.int16)
    return float(sum(np.abs(np.diff(levels, axis=axis)).mean() for axis in (1, 2)))

"""Where the hair begins, around the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.spec import HairSpec

ANGLES = (0, 18, 38, 55, 72, 86, 100, 118, 140, 180)  # degrees, 0 is the forehead


def hairline_height(hair: HairSpec, angle: NDArray) -> NDArray[np.float64]:
    """Canonical y above which hair grows, at angles (radians) around the head."""
    line, recession = hair.line, hair.recession
    heights = (
        8.02 + line - 0.10 * recession,
        8.03 + line + 0.12 * recession,
        7.88 + line * 0.6 + 0.38 * recession,
        7.62 + 0.30 * recession,
        7.30,
        7.12,
        7.36,
        6.95,
        6.45,
        6.25,
    )
    return np.interp(np.abs(angle) * 180 / np.pi, ANGLES, heights)

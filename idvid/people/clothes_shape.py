"""Where a garment ends at the neck: one smooth function, used per vertex and per picture sample."""

from __future__ import annotations

import numpy as np

from idvid.people.noise import kernel

ROUND_NECK, V_NECK, WIDE_NECK, ROLL_NECK = range(4)


@kernel
def collar_gap(neckline: int, x: float, y: float, z: float) -> float:
    """Signed distance into the garment (decimetres, positive is cloth) at canonical (x, y, z).

    The collar is the cut of a cone around the neck, which crosses the shoulders at a right angle;
    cuts that run along the surface would make ragged edges.
    """
    if neckline == ROLL_NECK:
        return 6.04 - 0.20 * z - y
    radius = 1.02 if neckline == WIDE_NECK else 0.74
    cone = np.sqrt((0.80 * x) ** 2 + (z - 0.12) ** 2) + 0.85 * (5.72 - y) - radius
    cone = min(cone, 3.0 * (6.0 - y) + 0.5 * abs(x))  # not on the chin, which juts out of the cone
    if neckline != V_NECK:
        return cone
    front = min(1.0, max(0.0, (z - 0.15) / 0.35))
    return min(cone, abs(x) * 0.92 - (y - 4.82) * 0.42 + 4.0 * (1.0 - front))

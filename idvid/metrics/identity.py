"""How much one character looks like their photos, frame by frame.

Owns the formulas on one character's numbers. Knows no face, no picture and no other character.
Embeddings are mean-centred and of length one. A frame without the face is NaN (a row of NaN
among embeddings): it stays in the series, lowers `presence` and enters no mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE_SHARE = 0.15  # HeliosBench compares the first and the last 15% of a clip


def id_sim(faces_TE: NDArray[np.floating], gallery_RE: NDArray[np.floating]) -> NDArray[np.float64]:
    """Nearest-gallery similarity `max_k cos(f_t, r_k)`, (T,) in -1..1 (Fu et al. 2026).

    The nearest reference, not the mean one: a single photo's similarity falls with the expression
    even on real footage, so a gallery is needed to tell a smile from drift.
    """
    return (faces_TE.astype(np.float64) @ gallery_RE.astype(np.float64).T).max(axis=1)


def presence(id_sim_T: NDArray[np.float64]) -> float:
    """Frames in which the character was found, as a share of all frames; 0 for an empty clip."""
    return float(np.isfinite(id_sim_T).mean()) if len(id_sim_T) else 0.0


def mean_found(values_T: NDArray[np.float64]) -> float | None:
    """Mean over the frames in which the character was found; None if there is none."""
    found = values_T[np.isfinite(values_T)]
    return float(found.mean()) if len(found) else None


def drift_15(id_sim_T: NDArray[np.float64]) -> float | None:
    """Mean of the first 15% of the clip minus mean of the last 15% (HeliosBench's contrast).

    Positive means likeness is lost. The shares are of the clip, not of the found frames; None if
    the face is missing from the whole of either end.
    """
    if not len(id_sim_T):
        return None
    edge = max(1, round(EDGE_SHARE * len(id_sim_T)))
    first, last = mean_found(id_sim_T[:edge]), mean_found(id_sim_T[-edge:])
    return None if first is None or last is None else first - last


def drift_slope(id_sim_T: NDArray[np.float64], fps: float) -> float | None:
    """Theil-Sen slope of `id_sim` per second: the median over all pairs of found frames.

    Robust to a few bad frames. None with fewer than two found frames.
    """
    (frames,) = np.nonzero(np.isfinite(id_sim_T))
    if len(frames) < 2:
        return None
    from scipy.stats import theilslopes  # half a second, which the page's start should not pay

    slope: float = theilslopes(id_sim_T[frames], frames / fps)[0]  # pyright: ignore[reportAssignmentType]
    return float(slope)


def temporal(faces_TE: NDArray[np.floating]) -> float | None:
    """Mean of `|f_t - f_t+1|^2` over neighbouring frames that both have the face, in 0..4.

    The second term of the identity-preservation loss. A gap has no neighbours: pairs across it
    do not count.
    """
    steps_T = np.square(np.diff(faces_TE.astype(np.float64), axis=0)).sum(axis=1)
    return mean_found(steps_T)

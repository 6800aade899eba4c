"""How well the characters stay apart from each other, and the two bands every curve is read by.

Owns the formulas that need more than one character, and ceiling and floor. Similarities are
`id_sim` values; a frame in which the character was not found is NaN and enters no mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from idvid.metrics.identity import id_sim, mean_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def best_other(similarity_TC: NDArray[np.float64], character: int) -> NDArray[np.float64] | None:
    """The similarity to whichever other character is nearest, (T,); None with one character."""
    others = np.delete(similarity_TC, character, axis=1)
    return others.max(axis=1) if others.shape[1] else None


def id_margin(similarity_TC: NDArray[np.float64], character: int) -> float | None:
    """Mean over found frames of `(own - best other) / max(own, best other)`, each in -1..1.

    For a face that is nearest to its own references this is UMO's ID-Conf,
    `min(1, (s1 - s2) / s1)`. UMO always puts the larger one first; we keep whose it is, so a
    face nearer to somebody else counts as negative. 0 where it looks like neither. None with
    one character.
    """
    other_T = best_other(similarity_TC, character)
    if other_T is None:
        return None
    own_T = similarity_TC[:, character]
    larger_T = np.maximum(own_T, other_T)
    ratio_T = (own_T - other_T) / np.where(larger_T > 0, larger_T, np.inf)
    return mean_found(np.clip(ratio_T, -1.0, 1.0))


def swap_rate(similarity_TC: NDArray[np.float64], character: int) -> float | None:
    """Share of found frames whose face is nearer to somebody else's references, in 0..1.

    Row t holds the face at this character's PLACE (see `idvid.metrics.places`), not the face that
    looks most like them: choosing by looks alone would follow a swap and never see it. None with
    one character or if the character was never found.
    """
    other_T = best_other(similarity_TC, character)
    if other_T is None:
        return None
    own_T = similarity_TC[:, character]
    return mean_found(np.where(np.isfinite(own_T), (other_T > own_T).astype(np.float64), np.nan))


def bleed(
    similarity_TC: NDArray[np.float64],
    character: int,
    galleries: Sequence[NDArray[np.floating]],
) -> float | None:
    """Similarity to the others beyond what the photos already share, mean over found frames.

    The others' mean `id_sim` at this character's place minus the same for this character's own
    photos. About 0 when each stays themselves, positive when the faces melt into each other.
    None with one character or if the character was never found.
    """
    others = [c for c in range(len(galleries)) if c != character]
    seen = mean_found(similarity_TC[:, others].mean(axis=1)) if others else None
    if seen is None:
        return None
    shared = [id_sim(galleries[character], galleries[other]).mean() for other in others]
    return seen - float(np.mean(shared))


def occm(faces_per_frame: NDArray[np.integer], num_characters: int) -> float:
    """On-stage count match `100 exp(-|D - E| / E)` (ViStoryBench), mean over frames, 0..100.

    D is the number of faces in the frame, E the number of characters. 0 for an empty clip.
    """
    if not len(faces_per_frame):
        return 0.0
    gap_T = np.abs(faces_per_frame - num_characters) / num_characters
    return float(100.0 * np.exp(-gap_T).mean())


def ceiling(gallery_RE: NDArray[np.floating]) -> float | None:
    """What the character's own photos score, each against the rest of them (leave one out).

    None with a single photo: there is nothing to leave out.
    """
    if len(gallery_RE) < 2:
        return None
    alike_RR = gallery_RE.astype(np.float64) @ gallery_RE.astype(np.float64).T
    np.fill_diagonal(alike_RR, -np.inf)
    return float(alike_RR.max(axis=1).mean())


def floor(galleries: Sequence[NDArray[np.floating]], character: int) -> float | None:
    """What the other characters' photos score against this one's; None with one character."""
    scores = [
        id_sim(gallery, galleries[character]).mean()
        for other, gallery in enumerate(galleries)
        if other != character
    ]
    return float(np.mean(scores)) if scores else None

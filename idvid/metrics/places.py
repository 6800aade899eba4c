"""Who is expected at which face of a clip, so that a swap can be seen.

The question is subtle. Matching every frame's faces to the characters by likeness is one-to-one
and always finds the best reading, so when two people exchange faces half-way it simply follows the
faces: both curves stay high and nothing is swapped. A viewer sees it otherwise: the person on the
left has become somebody else. So a character is bound to a PLACE, a tracklet of faces that position
and motion alone hold together (`idvid.metrics.tracklets`), and the tracklet belongs to whomever its
faces resembled in its first second. From there on its faces are compared with that character's
photos whatever they turn into: a swap pulls the curve to the floor and counts in `swap_rate`, a
slow morph shows as drift.

People who walk past each other must not count as swapped. While two faces are within a face width
position cannot tell them apart, so there every frame is bound by likeness alone, and once they have
parted new tracklets begin. The same at a cut. The price: an exchange hidden behind a crossing or a
cut is not seen as one.

A face is bound to the best free character however poor the likeness, else a clip of a stranger
would have no curve at all and a method's worst frames would drop out of its mean. Only flickers
(shorter than a quarter second and unlike everybody) are rejected: those are false detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EVIDENCE_S = 1.0  # a tracklet belongs to whom it resembles in its first second
FLICKER_S = 0.25
REJECT_BELOW = 0.25  # similarity to everybody under which a flicker is no character's face


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sighting:
    """One face in one frame, reduced to numbers."""

    frame: int
    tracklet: int
    similarity: NDArray[np.float64]  # (C,) id_sim with every character's photos
    embedding: NDArray[np.float32]  # (E,)
    look: NDArray[np.float16]  # (P,) eyes and mouth (`idvid.metrics.expression`)
    turn: NDArray[np.float32]  # (2,) how far the head is turned aside and down
    landmarks: NDArray[np.float32]  # (5, 2) px, dlib's order


def place_characters(
    sightings: Sequence[Sighting], num_frames: int, num_characters: int, fps: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Bind the faces of a clip to its characters.

    Returns:
        (T, C) index into `sightings` of the face at each character's place, -1 where there is
        none, and (T,) the number of faces that are no flickers.
    """
    faces_by_tracklet = _grouped(sightings)
    evidence = {
        tracklet: _evidence([sightings[i] for i in faces], fps)
        for tracklet, faces in faces_by_tracklet.items()
    }
    real = {
        tracklet: faces
        for tracklet, faces in faces_by_tracklet.items()
        if not _is_flicker(len(faces), evidence[tracklet], fps)
    }
    frames: list[dict[int, int]] = [{} for _ in range(num_frames)]  # tracklet -> sighting
    for tracklet, faces in real.items():
        for i in faces:
            frames[sightings[i].frame][tracklet] = i
    votes = {tracklet: np.zeros(num_characters) for tracklet in real}
    for present in frames:
        for tracklet, character in _one_to_one(tuple(present), evidence):
            votes[tracklet][character] += 1
    owners = {tracklet: np.where(count > 0, count, -np.inf) for tracklet, count in votes.items()}
    placed_TC = np.full((num_frames, num_characters), -1, dtype=np.intp)
    for t, present in enumerate(frames):
        for tracklet, character in _one_to_one(tuple(present), owners):
            placed_TC[t, character] = present[tracklet]
    return placed_TC, np.array([len(present) for present in frames], dtype=np.intp)


def _grouped(sightings: Sequence[Sighting]) -> dict[int, list[int]]:
    grouped: dict[int, list[int]] = {}
    for i, sighting in enumerate(sightings):
        grouped.setdefault(sighting.tracklet, []).append(i)
    return grouped


def _evidence(faces: Sequence[Sighting], fps: float) -> NDArray[np.float64]:
    """Mean similarity (C,) of a tracklet's first second, counted from its first frame."""
    end = faces[0].frame + max(1.0, EVIDENCE_S * fps)
    return np.mean([face.similarity for face in faces if face.frame < end], axis=0)


def _is_flicker(num_faces: int, evidence: NDArray[np.float64], fps: float) -> bool:
    return num_faces < FLICKER_S * fps and float(evidence.max()) < REJECT_BELOW


def _one_to_one(
    tracklets: tuple[int, ...], weights: dict[int, NDArray[np.float64]]
) -> list[tuple[int, int]]:
    """Pairs (tracklet, character) of largest total weight; a weight of -inf forbids the pair."""
    if not tracklets:
        return []
    from scipy.optimize import linear_sum_assignment  # slow to import at the page's start

    weight_FC = np.stack([weights[tracklet] for tracklet in tracklets])
    forbidden = -1e6
    rows, columns = linear_sum_assignment(
        np.where(np.isfinite(weight_FC), weight_FC, forbidden), maximize=True
    )
    return [
        (tracklets[row], int(column))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if np.isfinite(weight_FC[row, column])
    ]

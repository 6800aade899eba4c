"""Where the faces really are: looked for on frames and followed near the places of a plan.

A face belongs to the character at whose planned place it is, whatever it looks like: the method
must not choose by likeness what is then scored by likeness. One-to-one matching by distance is what
trackers do (Bewley et al. 2016, "Simple online and realtime tracking"); here the plan is the
prediction, so that no motion model is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from idvid.faces.detect import MIN_FACE_PX, detect_faces, find_in_each
from idvid.models.face_plan import face_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

REJECT_WIDTHS = 0.75  # a face farther than this from the plan, in face widths, is somebody else's
_SMALLEST = 0.6  # of the smallest planned face: smaller ones are not looked for
_SMOOTHING = (0.25, 0.5, 0.25)  # over three frames: a detector's points tremble


def seen_landmarks(frames: NDArray[np.uint8], planned: Tensor) -> Tensor:
    """The plan, corrected by the faces that are seen.

    Between two frames in which a face was found, and before the first and after the last, it keeps
    its distance from the plan. A character who is never found stays where the plan says.

    Args:
        frames: (T, H, W, 3) RGB.
        planned: (C, T, 5, 2) px.

    Returns:
        (C, T, 5, 2) px.
    """
    smallest = max(float(MIN_FACE_PX), _SMALLEST * float(face_frame(planned)[1].norm(dim=-1).min()))
    offsets = np.full(tuple(planned.shape), np.nan)
    found = find_in_each(lambda frame: detect_faces(frame, smallest), list(frames))
    for t, seen in enumerate(found):
        faces = [face.landmarks for face in seen]
        for character, face in at_planned_places(faces, planned[:, t]).items():
            offsets[character, t] = faces[face] - planned[character, t].numpy()
    followed = np.stack([_followed(own) for own in offsets])
    return planned + torch.from_numpy(followed).to(planned.dtype)


def at_planned_places(faces: Sequence[NDArray[np.float32]], planned: Tensor) -> dict[int, int]:
    """Which character is at which face: the most pairs, and of those the nearest.

    Args:
        faces: landmarks (5, 2) px of each face found in a frame.
        planned: (C, 5, 2) px.

    Returns:
        index of the face by character, without characters that no face is near enough to.
    """
    if not faces:
        return {}
    places, axes = face_frame(planned)
    found = torch.from_numpy(np.stack(faces)).to(planned.dtype).mean(1)
    distance = (places[:, None] - found[None]).norm(dim=-1) / axes.norm(dim=-1)[:, None]
    nearness = (REJECT_WIDTHS - distance).numpy()
    gain = np.where(nearness > 0, 1 + nearness, 0.0)  # a pair more counts more than being nearer
    pairs = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    return {int(c): int(f) for c, f in pairs if gain[c, f] > 0}


def _followed(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets (T, 5, 2) of one character without gaps (nan) and without trembling."""
    known = np.flatnonzero(~np.isnan(offsets[:, 0, 0]))
    if not len(known):
        return np.zeros_like(offsets)
    times, flat = np.arange(len(offsets)), offsets.reshape(len(offsets), -1)
    filled = np.stack([np.interp(times, known, column[known]) for column in flat.T], axis=1)
    padded = np.pad(filled, ((1, 1), (0, 0)), mode="edge")
    smooth = sum(w * padded[i : i + len(flat)] for i, w in enumerate(_SMOOTHING))
    return np.asarray(smooth).reshape(offsets.shape)

"""Frames and landmarks as numbers that a small probe can read an attribute from.

Everything is relative to the face, so a probe never has to find it. What lies outside the picture is
black. Pixels are in 0..1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from idvid.faces.align import crops_by_template, head_crops
from idvid.faces.types import Face
from idvid.metrics.expression import looks, turns
from idvid.models.face_plan import template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.metrics.places import Sighting

FACE_PX, HEAD_PX, CHEST_PX = 32, 18, 8
FACE_SIDE, FACE_MIDDLE_V = 1.2, 0.22  # of the crop, in widths of dlib's face box
CHEST_SIDE, CHEST_MIDDLE_V = 1.3, 1.3
THUMB = (14, 24)  # rows and columns of the whole picture
_MOST_FRAMES = 4  # of a clip, for what does not change


def face_features(
    frames: Sequence[NDArray[np.uint8]], landmarks: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """Eyes and mouth in colour, evened in light: (N, 3 * S * S) of `landmarks[i]` in `frames[i]`."""
    crops = _crops(frames, landmarks, FACE_SIDE, FACE_MIDDLE_V, FACE_PX)
    return _normalised(crops.flatten(1)).numpy()


def head_features(
    frames: Sequence[NDArray[np.uint8]], landmarks: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """The head with its hair, in colour: (N, F)."""
    images, points = _tensors(frames, landmarks)
    return head_crops(images, points, HEAD_PX).flatten(1).numpy()


def chest_features(
    frames: Sequence[NDArray[np.uint8]], landmarks: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """What is below the chin, in colour, beside the face's own mean colour: (N, F)."""
    chest = _crops(frames, landmarks, CHEST_SIDE, CHEST_MIDDLE_V, CHEST_PX)
    face = _crops(frames, landmarks, FACE_SIDE, FACE_MIDDLE_V, FACE_PX).mean((2, 3))
    return torch.cat([chest.flatten(1), face], dim=1).numpy()


def scene_features(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The whole picture, small, with the mean and spread of finer detail: (N, F)."""
    images = torch.from_numpy(np.stack(list(frames))).permute(0, 3, 1, 2).float() / 255
    small = torch.nn.functional.adaptive_avg_pool2d(images, THUMB)
    detail = (images - torch.nn.functional.avg_pool2d(images, 5, 1, 2)).abs().mean(1, keepdim=True)
    texture = torch.nn.functional.adaptive_avg_pool2d(detail, (4, 7))
    return torch.cat([small.flatten(1), 8 * texture.flatten(1)], dim=1).numpy()


def motion_features(landmarks_T52: NDArray[np.floating]) -> NDArray[np.float32]:
    """How a head is held and moves: (F,) from the landmarks of its found frames.

    Turn aside and down (without a unit) and roll (radians): middle, extremes, how they end, spread,
    and how fast they change, which tells a nod from a look.
    """
    points = np.asarray(landmarks_T52, np.float64)
    faces = [Face(box=np.zeros(4, np.float32), landmarks=p, score=0.0) for p in points]
    across = points[:, :2].mean(1) - points[:, 2:4].mean(1)
    roll = np.arctan2(across[:, 1], across[:, 0])
    pose = np.concatenate([turns(faces), roll[:, None]], axis=1)  # (T, 3)
    smooth = _smoothed(pose)
    late = smooth[len(smooth) // 2 :].mean(0)
    steps = np.diff(smooth, axis=0) if len(smooth) > 1 else np.zeros((1, 3))
    height = points[:, :, 1].mean(1) / np.linalg.norm(across, axis=1).mean()
    parts = [smooth.mean(0), late, smooth.min(0), smooth.max(0), smooth.std(0)]
    parts += [
        np.abs(steps).mean(0),
        [height.std(), np.abs(np.diff(height)).mean() if len(height) > 1 else 0.0],
    ]
    return np.concatenate(parts).astype(np.float32)


def mouth_features(
    frames: Sequence[NDArray[np.uint8]], landmarks: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """How much and where eyes and mouth change over the frames of one face: (F,)."""
    points = [np.asarray(p, np.float32) for p in landmarks]
    faces = [Face(box=np.zeros(4, np.float32), landmarks=p, score=0.0) for p in points]
    look = looks(list(frames), faces).astype(np.float32)
    steps = np.abs(np.diff(look, axis=0)).mean(0) if len(look) > 1 else np.zeros_like(look[0])
    return np.concatenate([look.std(0), steps])


def seen(faces: Sequence[Sighting | None], first: int = 0, last: int | None = None) -> list[int]:
    """Frames, from `first` to before `last`, in which a face was found."""
    end = len(faces) if last is None else last
    return [t for t in range(first, end) if faces[t] is not None]


def spread(frames: Sequence[int], most: int = _MOST_FRAMES) -> list[int]:
    """At most so many of the frames, evenly spread."""
    if len(frames) <= most:
        return list(frames)
    return [frames[i] for i in np.linspace(0, len(frames) - 1, most).round().astype(int)]


def _smoothed(values_TF: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean of three frames, against the jitter of detected landmarks."""
    if len(values_TF) < 3:
        return values_TF
    return (values_TF[:-2] + values_TF[1:-1] + values_TF[2:]) / 3


def _crops(
    frames: Sequence[NDArray[np.uint8]],
    landmarks: Sequence[NDArray[np.floating]],
    side: float,
    middle_v: float,
    size: int,
) -> torch.Tensor:
    """Crops (N, 3, size, size) of `side` face widths, `middle_v` below the landmarks' centroid."""
    images, points = _tensors(frames, landmarks)
    target = ((template(points) - torch.tensor([0.0, middle_v])) / side + 0.5) * size - 0.5
    return crops_by_template(images, points, target, size)


def _tensors(
    frames: Sequence[NDArray[np.uint8]], landmarks: Sequence[NDArray[np.floating]]
) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(np.stack(list(frames))).permute(0, 3, 1, 2).float() / 255
    return images, torch.from_numpy(np.stack(list(landmarks)).astype(np.float32))


def _normalised(values_NF: torch.Tensor) -> torch.Tensor:
    centred = values_NF - values_NF.mean(1, keepdim=True)
    return centred / centred.std(1, keepdim=True).clamp(min=0.02)

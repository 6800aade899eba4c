"""How much a face moves: a rigid face that never drifts is no success.

Five landmarks hold no mouth, so this measures appearance: the eye and mouth bands of aligned,
brightness-normalised grey chips. Owns that description and its spread over time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.faces.types import Face

CHIP_PX = 64
_FACE = (slice(10, 56), slice(12, 52))  # rows and columns of a chip that brightness is taken from
_EYES = (slice(10, 26), slice(12, 52))  # brows and eyes
_MOUTH = (slice(38, 56), slice(18, 46))  # from under the nose to the chin
_MIN_FOR_TURN = 12  # found frames from which the head's turning can be told from expression


def looks(images: Sequence[NDArray[np.uint8]], faces: Sequence[Face]) -> NDArray[np.float16]:
    """Eye and mouth bands (N, P) of `faces[i]` in `images[i]`, in units of the face's contrast."""
    from idvid.faces.align import face_chips
    from idvid.faces.embed import cut_faces

    if not faces:
        return np.zeros((0, 0), np.float16)
    crops = cut_faces(images, faces, lambda i, p: face_chips(i, p, size=CHIP_PX))
    grey = crops.mean(dim=1).numpy()  # (N, 64, 64)
    face = grey[:, *_FACE]
    mean = face.mean(axis=(1, 2), keepdims=True)
    contrast = face.std(axis=(1, 2), keepdims=True)
    even = (grey - mean) / np.maximum(contrast, 0.02)
    bands = [_halved(even[:, *band]).reshape(len(grey), -1) for band in (_EYES, _MOUTH)]
    return np.concatenate(bands, axis=1).astype(np.float16)


def turns(faces: Sequence[Face]) -> NDArray[np.float32]:
    """How far each head is turned aside and down, (N, 2), from eyes and nose, without a unit."""
    points = np.stack([face.landmarks for face in faces]).astype(np.float64)  # (N, 5, 2)
    middle = points[:, :4].mean(axis=1)
    across = points[:, :2].mean(axis=1) - points[:, 2:4].mean(axis=1)  # from eye to eye
    nose = points[:, 4] - middle
    length = np.maximum(np.square(across).sum(axis=1), 1e-9)
    aside = (nose * across).sum(axis=1) / length
    down = (across[:, 0] * nose[:, 1] - across[:, 1] * nose[:, 0]) / length
    return np.stack([aside, down], axis=1).astype(np.float32)


def expression_range(
    looks_TP: NDArray[np.floating], turns_TQ: NDArray[np.floating]
) -> float | None:
    """Mean absolute deviation over time of eyes and mouth, beyond what turning the head explains.

    In units of the face's contrast: 0 is a still picture. Rows are found frames only. With enough
    frames each value is first regressed on the turn and its squares, because a turning rigid head
    changes every pixel. Changing light and a change of person also raise it. None below two frames.
    """
    if len(looks_TP) < 2:
        return None
    look = looks_TP.astype(np.float64)
    explained = np.ones((len(look), 1))
    if len(look) >= _MIN_FOR_TURN:
        turn = turns_TQ.astype(np.float64) - turns_TQ.mean(axis=0)
        explained = np.concatenate([explained, turn, turn**2], axis=1)
    weights = np.linalg.lstsq(explained, look, rcond=None)[0]
    return float(np.abs(look - explained @ weights).mean())


def _halved(band: NDArray[np.float32]) -> NDArray[np.float32]:
    count, height, width = band.shape
    return band.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4))

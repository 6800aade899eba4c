"""How good one portrait is, in numbers. Knows the face's place, no identity and no limits.

All is measured on the face itself, cut to 64 px, so that neither the size of the photo nor its
background counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from idvid.faces.align import face_chips
from idvid.faces.embed import cut_faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.faces.types import Face

_MEASURED_PX = 64
_THUMBNAIL_PX = 32
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CLIPPED_ABOVE = 0.98  # of full brightness, in at least two channels: skin loses its blue last
_YAW_SLOPE = 0.37  # eye distances that the nose moves sideways per tan(yaw); 0.34..0.38 measured


@dataclass(frozen=True, slots=True, kw_only=True)
class PortraitQuality:
    """What can be measured on one face."""

    width_px: float  # of the face's box
    sharpness: float  # variance of the Laplacian over the variance of the luma; blur lowers it
    highlight: float  # 0..255, 95th percentile of the luma
    clipped: float  # 0..1, share of the face whose colour is lost in white
    yaw_degrees: float  # about -60..60, positive towards the right of the picture


def measure_portrait(image: NDArray[np.uint8], face: Face) -> PortraitQuality:
    """Measure one face of a photo (H, W, 3) RGB."""
    cropper = partial(face_chips, size=_MEASURED_PX, padding=0.0)
    chip = cut_faces([image], [face], cropper)[0].numpy()  # (3, S, S), 0..1
    luma = np.tensordot(_LUMA, chip, 1) * 255
    return PortraitQuality(
        width_px=face.width_px,
        sharpness=_sharpness(luma),
        highlight=float(np.percentile(luma, 95)),
        clipped=float((np.median(chip, axis=0) > _CLIPPED_ABOVE).mean()),
        yaw_degrees=_yaw_degrees(face.landmarks),
    )


def photo_similarity(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Correlation -1..1 of two whole photos as thumbnails.

    Copies that were resized or compressed anew stay above 0.97; other photos of one synthetic
    person reach 0.95.
    """
    first, second = _thumbnail(a), _thumbnail(b)
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norms if norms > 0 else 0.0


def _sharpness(luma: NDArray[np.float32]) -> float:
    neighbours = luma[1:-1, :-2] + luma[1:-1, 2:] + luma[:-2, 1:-1] + luma[2:, 1:-1]
    laplacian = neighbours - 4 * luma[1:-1, 1:-1]
    return float(laplacian.var() / max(float(luma.var()), 1e-6))


def _yaw_degrees(landmarks: NDArray[np.float32]) -> float:
    """Turn of the head, from how far the nose's base lies beside the middle of the eyes."""
    right, left = landmarks[:2].mean(0), landmarks[2:4].mean(0)
    axis = right - left
    aside = (landmarks[4] - (right + left) / 2) @ axis / max(float(axis @ axis), 1e-6)
    return float(np.degrees(np.arctan(aside / _YAW_SLOPE)))


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small = Image.fromarray(image).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32).ravel()
    return pixels - pixels.mean()

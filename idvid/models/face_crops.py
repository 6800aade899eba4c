"""Faces laid upright in square crops, and the way between a crop's pixels and face coordinates.

Pure functions of pictures and landmarks; face coordinates are `face_plan`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from idvid import runtime
from idvid.models.face_plan import face_frame, in_picture, template

if TYPE_CHECKING:
    from torch import Tensor


class Extent(NamedTuple):
    """What a crop shows, in widths of dlib's face box."""

    side: float
    centre_v: float  # how far below the middle of the landmarks its own middle is


FACE = Extent(1.6, 0.12)  # from the brows to the chin, and some hair
HEAD = Extent(3.0, 0.1)  # all of the hair, and the shoulders


def face_crops(images: Tensor, landmarks: Tensor, size_px: int, extent: Extent = FACE) -> Tensor:
    """Faces laid upright: (N, 3, S, S) of pictures (N, 3, H, W) with landmarks (N, 5, 2) px."""
    places = in_picture(crop_grid(size_px, images, extent), *face_frame(landmarks))
    return sampled(images, places).unflatten(-1, (size_px, size_px))


def crop_grid(size_px: int, like: Tensor, extent: Extent = FACE) -> Tensor:
    """Face coordinates (S * S, 2) of a crop's pixels, row by row."""
    steps = (torch.arange(size_px, device=like.device) + 0.5) / size_px - 0.5
    v, u = torch.meshgrid(steps * extent.side + extent.centre_v, steps * extent.side, indexing="ij")
    return torch.stack([u, v], dim=-1).flatten(0, 1)


def from_crop_border(size_px: int, like: Tensor, extent: Extent = FACE) -> Tensor:
    """How far a crop's pixels lie from its border, in face widths: (S * S,)."""
    grid = crop_grid(size_px, like, extent)
    return (1 - on_crop(grid, extent).abs()).amin(-1) * (extent.side / 2)


def crop_landmarks(size_px: int, like: Tensor, extent: Extent = FACE) -> Tensor:
    """Where a crop of a face shows the landmarks of dlib's mean face: (5, 2) px."""
    return (on_crop(template(like), extent) + 1) * (size_px / 2) - 0.5


def on_crop(face_uv: Tensor, extent: Extent = FACE) -> Tensor:
    """Face coordinates (..., 2) as `grid_sample` reads them on a crop: -1..1."""
    middle = runtime.sent([0.0, extent.centre_v], face_uv.device, face_uv.dtype)
    return (face_uv - middle) * (2 / extent.side)


def sampled(images: Tensor, places: Tensor) -> Tensor:
    """Colours (N, C, P) of pictures (N, C, H, W) at places (N, P, 2) px; the edge goes on outside."""
    size = (images.shape[-1], images.shape[-2])
    extent = runtime.sent(size, places.device, places.dtype)
    grid = (places + 0.5) / extent * 2 - 1
    return functional.grid_sample(
        images, grid[:, None], align_corners=False, padding_mode="border"
    )[:, :, 0]

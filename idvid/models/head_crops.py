"""Heads laid upright in square crops, and the way between a crop's pixels and face coordinates.

Pure functions of pictures and landmarks; face coordinates are `face_plan`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from idvid import runtime
from idvid.models.face_plan import face_frame, in_picture, template

if TYPE_CHECKING:
    from torch import Tensor

# What a crop shows, in widths of dlib's face box: all of the hair, and the shoulders.
SIDE = 3.0
CENTRE_V = 0.1  # how far below the middle of the landmarks a crop's own middle is
_FADE = 0.2  # face widths over which somebody fades out whom a border cuts off


def upright_heads(images: Tensor, landmarks: Tensor, size_px: int) -> Tensor:
    """Heads laid upright: (N, 3, S, S) of pictures (N, 3, H, W) with landmarks (N, 5, 2) px."""
    places = in_picture(crop_grid(size_px, images), *face_frame(landmarks))
    return sampled(images, places).unflatten(-1, (size_px, size_px))


def crop_grid(size_px: int, like: Tensor) -> Tensor:
    """Face coordinates (S * S, 2) of a crop's pixels, row by row."""
    steps = (torch.arange(size_px, device=like.device) + 0.5) / size_px - 0.5
    v, u = torch.meshgrid(steps * SIDE + CENTRE_V, steps * SIDE, indexing="ij")
    return torch.stack([u, v], dim=-1).flatten(0, 1)


def from_crop_border(size_px: int, like: Tensor) -> Tensor:
    """How far a crop's pixels lie from its border, in face widths: (S * S,)."""
    grid = crop_grid(size_px, like)
    return (1 - on_crop(grid).abs()).amin(-1) * (SIDE / 2)


def faded(from_border: Tensor) -> Tensor:
    """How much of somebody is kept so far from a border, face widths: 0 on it, 1 well inside."""
    return (from_border / _FADE).clamp(0, 1)


def crop_landmarks(size_px: int, like: Tensor) -> Tensor:
    """Where a crop shows the landmarks of dlib's mean face: (5, 2) px."""
    return (on_crop(template(like)) + 1) * (size_px / 2) - 0.5


def on_crop(face_uv: Tensor) -> Tensor:
    """Face coordinates (..., 2) as `grid_sample` reads them on a crop: -1..1."""
    middle = runtime.sent([0.0, CENTRE_V], face_uv.device, face_uv.dtype)
    return (face_uv - middle) * (2 / SIDE)


def sampled(images: Tensor, places: Tensor) -> Tensor:
    """Colours (N, C, P) of pictures (N, C, H, W) at places (N, P, 2) px; the edge goes on outside."""
    size = (images.shape[-1], images.shape[-2])
    extent = runtime.sent(size, places.device, places.dtype)
    grid = (places + 0.5) / extent * 2 - 1
    return functional.grid_sample(
        images, grid[:, None], align_corners=False, padding_mode="border"
    )[:, :, 0]

"""Square crops of frames, mostly around faces, and what counts in them. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from idvid.models.face_plan import face_frame, region_distance, to_face
from idvid.training.pool import to_signed

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.training.settings import AutoencoderSettings, DecoderSettings

_SCATTER_PX = 14.0  # of a crop's centre around a face


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSettings:
    """How crops are drawn."""

    side_px: int
    face_share: float  # of the crops lie around a face
    face_weight: float  # added to 1 on faces
    step_px: int = 1  # corners lie on multiples of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Where crops lie in drawn frames, and the people seen there."""

    rows: Tensor  # (n,) of the shard
    times: Tensor  # (n,) frames
    corner: Tensor  # (n, 2) px, x and y
    landmarks: Tensor  # (n, C, 5, 2) px of the crop
    visible: Tensor  # (n, C)
    side_px: int

    def pictures(self, frames: Tensor) -> Tensor:
        """(n, 3, S, S) in -1..1 of a shard's frames (clips, T, H, W, 3) uint8."""
        return to_signed(frames[self._index(1)])

    def cells(self, maps: Tensor, cell_px: int) -> Tensor:
        """(n, S / cell, S / cell, C) of maps (clips, T, h, w, C) with one value per cell."""
        return maps[self._index(cell_px)]

    def weight(self, settings: CropSettings) -> Tensor:
        """What counts in them: (n, 1, S, S), see `crop_weight`."""
        size = (self.side_px, self.side_px)
        return crop_weight(self.landmarks, self.visible, size, settings)

    def _index(self, cell_px: int) -> tuple[Tensor, ...]:
        steps = torch.arange(self.side_px // cell_px, device=self.corner.device)
        x, y = ((self.corner[:, axis, None] // cell_px).long() + steps for axis in (0, 1))
        rows, times = self.rows[:, None, None], self.times[:, None, None]
        return rows, times, y[:, :, None], x[:, None, :]


def crop_settings(
    settings: AutoencoderSettings | DecoderSettings, step_px: int = 1
) -> CropSettings:
    """What a stage chose of its crops."""
    return CropSettings(
        side_px=settings.crop_px,
        face_share=settings.face_share,
        face_weight=settings.face_weight,
        step_px=step_px,
    )


def draw_crops(
    shard: dict[str, Tensor], rows: Tensor, rng: np.random.Generator, settings: CropSettings
) -> Crops:
    """One crop out of a drawn frame of each clip `rows` (n,) of a shard."""
    side, step, count = settings.side_px, settings.step_px, len(rows)
    _, total, height, width, _ = shard["frames"].shape
    times = torch.from_numpy(rng.integers(total, size=count)).to(rows.device)
    points, seen = shard["landmarks"][rows, :, times], shard["visible"][rows, :, times]
    centres = _centres(points, seen, rng, (width, height), settings.face_share)
    corner = ((centres - side / 2) / step).round() * step
    limit = torch.tensor([width - side, height - side], device=rows.device)
    corner = torch.minimum(corner.clamp(min=0), limit)
    return Crops(
        rows=rows,
        times=times,
        corner=corner,
        landmarks=points - corner[:, None, None],
        visible=seen,
        side_px=side,
    )


def crop_weight(
    landmarks: Tensor, seen: Tensor, size: tuple[int, int], settings: CropSettings
) -> Tensor:
    """1, and more on faces: (n, 1, H, W) for landmarks (n, C, 5, 2) px that are seen (n, C) or not."""
    height, width = size
    rows = torch.arange(height, device=landmarks.device, dtype=torch.float32)
    columns = torch.arange(width, device=landmarks.device, dtype=torch.float32)
    pixels = torch.stack([columns.repeat(height), rows.repeat_interleave(width)], -1)
    region = (-2 * region_distance(to_face(pixels, *face_frame(landmarks)))).exp()
    weight = 1 + settings.face_weight * (region * seen[..., None]).amax(1)
    return weight.view(-1, 1, height, width)


def _centres(
    points: Tensor,
    seen: Tensor,
    rng: np.random.Generator,
    size: tuple[int, int],
    face_share: float,
) -> Tensor:
    """Centres (n, 2) of crops: around a face that is seen, or anywhere."""
    count = len(points)
    draw = torch.from_numpy(rng.random((count, 3), np.float32)).to(points.device)
    scatter = torch.from_numpy(rng.normal(0, _SCATTER_PX, (count, 2)).astype(np.float32))
    anywhere = draw[:, 1:] * torch.tensor(size, device=points.device)
    order = torch.from_numpy(rng.random(seen.shape, np.float32)).to(points.device)
    chosen = (order * seen).argmax(1)
    faces = points[torch.arange(count), chosen].mean(1) + scatter.to(points.device)
    on_face = (draw[:, :1] < face_share) & seen.any(1, keepdim=True)
    return torch.where(on_face, faces, anywhere)

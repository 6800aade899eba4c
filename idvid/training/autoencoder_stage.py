"""The stage of the frame autoencoder: crops around faces, sharp pictures, latents that bear noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from idvid.models.face_plan import face_frame, region_distance, to_face
from idvid.training.objective import picture_loss
from idvid.training.pool import Draws, ShardKind, ShardPool, tensors_of, to_signed
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.training.records import Record
    from idvid.training.settings import OptimiserSettings, TrainingSettings

_SCATTER_PX = 14.0  # of a crop's centre around a face
_FIT_CROPS = 256  # for the linear path and the latents' statistics
_VALIDATION_FRAMES = 24
_SHOWN = 4


class AutoencoderStage:
    """L1 of pictures and gradients, weighted up on faces; latents get noise before decoding."""

    name = "autoencoder"
    rule = Rule(figure="psnr_face")

    def __init__(
        self, settings: TrainingSettings, shards: Path, starts: tuple[Path, ...], device: str
    ) -> None:
        self._settings = settings.autoencoder
        self.optimiser: OptimiserSettings = self._settings.optimiser

        def pool(split: str, limit: int) -> ShardPool:
            kind = ShardKind(folder=shards, split=split, derivative="", read=_read)
            return ShardPool(kind, limit, device)

        self.pool = pool("train", settings.data.pictures_in_memory)
        self._validation = pool("validation", 1)
        part, is_fresh = start_part(
            "autoencoder",
            {
                "latent_channels": self._settings.latent_channels,
                "widths": self._settings.widths,
            },
            starts,
        )
        autoencoder = cast("FrameAutoencoder", part)
        self._device = device
        if is_fresh:
            self.pool.poll()
            autoencoder.fit_linear(self._crops(Draws.of_step(0, 0), _FIT_CROPS)[0].cpu())
        self.model: nn.Module = autoencoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:  # noqa: ARG002 - Stage
        """Reconstruct a batch of crops."""
        settings, autoencoder = self._settings, cast("FrameAutoencoder", model)
        frames, weight = self._crops(draws, settings.optimiser.batch_size)
        latents = autoencoder.encode_raw(frames).float()
        spread = latents.detach().std((0, 2, 3), keepdim=True)
        amount = torch.rand(len(frames), 1, 1, 1, generator=draws.torch, device=frames.device)
        noise = torch.randn(latents.shape, generator=draws.torch, device=frames.device)
        noisy = latents + noise * spread * amount * settings.latent_noise
        decoded = autoencoder.decode_raw(noisy).float()
        picture = picture_loss(decoded, frames, weight)
        size = latents.square().mean()
        return {"loss": picture + settings.latent_penalty * size, "picture": picture, "size": size}

    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """PSNR on held-out frames, whole and on faces, and originals beside reconstructions."""
        self._validation.poll()
        if not self._validation.shards:
            return {}
        shard = self._validation.shards[0]
        clips = len(shard["frames"])
        rows = torch.arange(_VALIDATION_FRAMES) % clips
        frames = to_signed(shard["frames"][rows, 0])
        autoencoder = cast("FrameAutoencoder", model)
        decoded = torch.cat(
            [
                autoencoder.decode_raw(autoencoder.encode_raw(part)).float()
                for part in frames.split(8)
            ]
        ).clamp(-1, 1)
        corner = torch.zeros(len(rows), 2, device=frames.device)
        on_face = self._weight(
            shard["landmarks"][rows, :, 0], shard["visible"][rows, :, 0], corner, frames
        )
        error = (decoded - frames).square().mean(1, keepdim=True) / 4
        pairs = [
            np.concatenate([to_pixels(frames[i]), to_pixels(decoded[i])], 1) for i in range(_SHOWN)
        ]
        Image.fromarray(np.concatenate(pairs)).save(sheet)
        face_error = (error * (on_face - 1)).sum() / (on_face - 1).sum()
        return {"psnr": _psnr(error.mean()), "psnr_face": _psnr(face_error)}

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """Measure the latents' mean and deviation over training crops, and write the part."""
        autoencoder = cast("FrameAutoencoder", model)
        crops = self._crops(Draws.of_step(0, 1, self._device), _FIT_CROPS)[0]
        latents = torch.cat([autoencoder.encode_raw(part).float() for part in crops.split(32)])
        autoencoder.latent_mean.copy_(latents.mean((0, 2, 3)))
        autoencoder.latent_std.copy_(latents.std((0, 2, 3)))
        write_parts(folder, autoencoder=autoencoder)

    def _crops(self, draws: Draws, count: int) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, S, S) in -1..1 and their weights (B, 1, S, S)."""
        parts = [
            self._cut(shard, rows, draws.numpy)
            for shard, rows in self.pool.draw(draws.numpy, count)
        ]
        frames, weights = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        if draws.numpy.random() < 0.5:
            frames, weights = frames.flip(-1), weights.flip(-1)
        return frames.contiguous(memory_format=torch.channels_last), weights

    def _cut(
        self, shard: dict[str, Tensor], rows: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cut one crop out of a drawn frame of each clip `rows` (n,)."""
        side, count = self._settings.crop_px, len(rows)
        _, total, height, width, _ = shard["frames"].shape
        times = torch.from_numpy(rng.integers(total, size=count)).to(rows.device)
        points, seen = shard["landmarks"][rows, :, times], shard["visible"][rows, :, times]
        centres = self._centres(points, seen, rng, (width, height))
        corner = (centres - side / 2).round()
        limit = torch.tensor([width - side, height - side], device=rows.device)
        corner = torch.minimum(corner.clamp(min=0), limit)
        steps = torch.arange(side, device=rows.device)
        x = corner[:, 0].long()[:, None] + steps
        y = corner[:, 1].long()[:, None] + steps
        index = (rows[:, None, None], times[:, None, None], y[:, :, None], x[:, None, :])
        frames = to_signed(shard["frames"][index])
        return frames, self._weight(points, seen, corner, frames)

    def _centres(
        self, points: Tensor, seen: Tensor, rng: np.random.Generator, size: tuple[int, int]
    ) -> Tensor:
        """Centres (n, 2) of crops: around a face that is seen, or anywhere."""
        count = len(points)
        draw = torch.from_numpy(rng.random((count, 3), np.float32)).to(points.device)
        scatter = torch.from_numpy(rng.normal(0, _SCATTER_PX, (count, 2)).astype(np.float32))
        anywhere = draw[:, 1:] * torch.tensor(size, device=points.device)
        order = torch.from_numpy(rng.random(seen.shape, np.float32)).to(points.device)
        chosen = (order * seen).argmax(1)
        faces = points[torch.arange(count), chosen].mean(1) + scatter.to(points.device)
        on_face = (draw[:, :1] < self._settings.face_share) & seen.any(1, keepdim=True)
        return torch.where(on_face, faces, anywhere)

    def _weight(self, points: Tensor, seen: Tensor, corner: Tensor, frames: Tensor) -> Tensor:
        """1, and more on faces: (n, 1, H, W) for landmarks (n, 3, 5, 2) px."""
        height, width = frames.shape[-2:]
        rows = torch.arange(height, device=frames.device, dtype=torch.float32)
        columns = torch.arange(width, device=frames.device, dtype=torch.float32)
        pixels = torch.stack([columns.repeat(height), rows.repeat_interleave(width)], -1)
        local = points - corner[:, None, None]
        region = (-2 * region_distance(to_face(pixels, *face_frame(local)))).exp()
        weight = 1 + self._settings.face_weight * (region * seen[..., None]).amax(1)
        return weight.view(-1, 1, height, width)


def _read(record: Record) -> dict[str, Tensor]:
    return tensors_of(record, "frames", "landmarks", "visible")


def _psnr(error: Tensor) -> float:
    """Decibels of a mean squared error of pictures in 0..1."""
    return float(-10 * torch.log10(functional.relu(error) + 1e-12))

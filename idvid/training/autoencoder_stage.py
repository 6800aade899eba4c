"""The stage of the frame autoencoder: crops around faces, sharp pictures, latents that bear noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

from idvid.training.crops import crop_settings, crop_weight, draw_crops
from idvid.training.objective import picture_loss, psnr
from idvid.training.pool import Draws, ShardKind, ShardPool, tensors_of, to_signed
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.training.records import Record
    from idvid.training.settings import OptimiserSettings, TrainingSettings

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
        self._rule = crop_settings(self._settings)

        def pool(split: str, limit: int) -> ShardPool:
            kind = ShardKind(folder=shards, split=split, derivative="", read=_read)
            return ShardPool(kind, limit, device)

        self.pool = pool("train", settings.data.pictures_in_memory)
        self._validation = pool("validation", 1)
        part, is_fresh = start_part("autoencoder", self._settings.config, starts)
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
        size = (frames.shape[-2], frames.shape[-1])
        on_face = crop_weight(
            shard["landmarks"][rows, :, 0], shard["visible"][rows, :, 0], size, self._rule
        )
        error = (decoded - frames).square().mean(1, keepdim=True) / 4
        pairs = [
            np.concatenate([to_pixels(frames[i]), to_pixels(decoded[i])], 1) for i in range(_SHOWN)
        ]
        Image.fromarray(np.concatenate(pairs)).save(sheet)
        face_error = (error * (on_face - 1)).sum() / (on_face - 1).sum()
        return {"psnr": psnr(error.mean()), "psnr_face": psnr(face_error)}

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
        parts = []
        for shard, rows in self.pool.draw(draws.numpy, count):
            crops = draw_crops(shard, rows, draws.numpy, self._rule)
            parts.append((crops.pictures(shard["frames"]), crops.weight(self._rule)))
        frames, weights = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        if draws.numpy.random() < 0.5:
            frames, weights = frames.flip(-1), weights.flip(-1)
        return frames.contiguous(memory_format=torch.channels_last), weights


def _read(record: Record) -> dict[str, Tensor]:
    return tensors_of(record, "frames", "landmarks", "visible")

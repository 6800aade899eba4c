"""The stage that teaches the decoder to draw what the student leaves as renders look.

A flow model of few steps leaves means of what it is unsure of, which a decoder that was taught on
clean latents shows as haze. Only the decoder learns, on the student's own latents beside the true
frames (`finished`): L1, distance in the features of the face backbone, and an adversary's word
(Esser et al. 2021, "Taming transformers"). Some clean latents stay in every batch. What is measured
and written lies between the weights before and after (network interpolation: Wang et al. 2018, ESRGAN).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

from idvid.metrics.sharpness import edge_strength
from idvid.models.autoencoder import SPATIAL_FACTOR
from idvid.training.adversary import PatchAdversary, deceived, unmasked
from idvid.training.crops import crop_settings, draw_crops
from idvid.training.objective import picture_loss, psnr
from idvid.training.perceptual import feature_distance
from idvid.training.pool import Draws, ShardKind, ShardPool, tensors_of
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, frozen_backbone, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.training.records import Record
    from idvid.training.settings import OptimiserSettings, TrainingSettings

_SEED = 13  # of the held-out crops
_HELD_OUT, _SHOWN, _AT_ONCE = 64, 10, 8


class Batch(NamedTuple):
    """Latents and what they should be drawn as."""

    latents: Tensor  # (B, C, S / 8, S / 8)
    frames: Tensor  # (B, 3, S, S) in -1..1
    weight: Tensor  # (B, 1, S, S)


class DecoderStage:
    """The decoder and its adversary, each with its own loss, in one step."""

    name = "decoder"
    rule = Rule(figure="distance", is_low_good=True)

    def __init__(
        self,
        settings: TrainingSettings,
        shards: Path,
        derivative: str,
        starts: tuple[Path, ...],
        device: str,
    ) -> None:
        self._settings = settings.decoder
        self.optimiser: OptimiserSettings = self._settings.optimiser
        self._rule = crop_settings(self._settings, step_px=SPATIAL_FACTOR)

        def pool(split: str, limit: int) -> ShardPool:
            kind = ShardKind(folder=shards, split=split, derivative=derivative, read=_read)
            return ShardPool(kind, limit, device)

        self.pool = pool("train", settings.data.pictures_in_memory)
        self._validation = pool("validation", settings.data.num_validation_shards)
        part, _ = start_part("autoencoder", settings.autoencoder.config, starts)
        autoencoder = cast("FrameAutoencoder", part)
        for layers in (autoencoder.encoder, autoencoder.linear_encode):
            layers.requires_grad_(False)
        self._backbone = frozen_backbone(starts, device)
        before = copy.deepcopy(autoencoder).requires_grad_(False)  # in checkpoints too
        parts = nn.ModuleDict(
            {"autoencoder": autoencoder, "before": before, "adversary": PatchAdversary()}
        )
        self.model: nn.Module = parts.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:
        """Draw a batch of crops, and judge them beside the true ones."""
        settings = self._settings
        batch = self._batch(self.pool, draws, settings.optimiser.batch_size, settings.clean_share)
        drawn = _autoencoder(model).decode_open(batch.latents).float()
        picture = picture_loss(drawn, batch.frames, batch.weight)
        adversary = model.get_submodule("adversary")
        losses = {
            "picture": picture,
            "deceit": deceived(adversary, drawn, batch.frames),
            "unmasking": unmasked(adversary, drawn, batch.frames, draws.torch),
        }
        share = settings.adversary_weight * min(1.0, progress / settings.adversary_ramp)
        loss = picture + share * losses["deceit"] + losses["unmasking"]
        if self._backbone is not None:
            losses["distance"] = feature_distance(self._backbone, drawn, batch.frames).mean()
            loss = loss + settings.feature_weight * losses["distance"]
        return losses | {"loss": loss}

    @torch.no_grad()
    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """On held-out people: how far drawn crops are from true ones, and rows of both.

        Returns:
            `distance`: of features, see `feature_distance`; `edges`: as a share of the true crops';
            `psnr` in dB; the same with `_clean` behind the name for latents that were only encoded.
        """
        self._validation.poll_all()
        if not self._validation.shards:
            return {}
        autoencoder = self._between(model)
        measured: dict[str, float] = {}
        rows: list[Tensor] = []
        for clean_share, suffix in ((0.0, ""), (1.0, "_clean")):
            batch = self._batch(self._validation, Draws.of_step(_SEED, 0), _HELD_OUT, clean_share)
            parts = batch.latents.split(_AT_ONCE)
            drawn = torch.cat([autoencoder.decode(part).float() for part in parts])
            rows += [batch.frames[:_SHOWN], drawn[:_SHOWN]]
            measured |= {f"{n}{suffix}": v for n, v in self._looks(drawn, batch.frames).items()}
        picture = [np.concatenate([to_pixels(crop) for crop in row], 1) for row in rows]
        Image.fromarray(np.concatenate(picture)).save(sheet)
        return measured

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the autoencoder, whose encoder and statistics are as they were."""
        write_parts(folder, autoencoder=self._between(model))

    def _between(self, model: nn.Module) -> FrameAutoencoder:
        """The autoencoder with weights between those before the stage and those that it learnt."""
        between = copy.deepcopy(_autoencoder(model))
        before = model.get_submodule("before").state_dict()
        weights = between.state_dict().items()
        share = self._settings.learnt_share
        between.load_state_dict({n: torch.lerp(before[n], w, share) for n, w in weights})
        return between

    def _looks(self, drawn: Tensor, true: Tensor) -> dict[str, float]:
        looks = {
            "edges": _edges(drawn) / _edges(true),
            "psnr": psnr((drawn - true).square().mean() / 4),
        }
        if self._backbone is not None:
            looks["distance"] = float(feature_distance(self._backbone, drawn, true).mean())
        return looks

    def _batch(self, pool: ShardPool, draws: Draws, count: int, clean_share: float) -> Batch:
        """Crops of drawn clips; a share of them, `clean_share`, of latents that were only encoded."""
        parts = []
        for shard, rows in pool.draw(draws.numpy, count):
            crops = draw_crops(shard, rows, draws.numpy, self._rule)
            flags = torch.from_numpy(draws.numpy.random(len(rows)) < clean_share)
            latents = torch.where(
                flags.to(rows.device)[:, None, None, None],
                crops.cells(shard["latents"], SPATIAL_FACTOR),
                crops.cells(shard["finished"], SPATIAL_FACTOR),
            )
            frames = crops.pictures(shard["frames"])
            parts.append((latents.movedim(-1, 1).float(), frames, crops.weight(self._rule)))
        latents, frames, weight = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        frames = frames.contiguous(memory_format=torch.channels_last)
        return Batch(latents=latents, frames=frames, weight=weight)


def _edges(crops: Tensor) -> float:
    return edge_strength(np.stack([to_pixels(crop) for crop in crops]))


def _autoencoder(model: nn.Module) -> FrameAutoencoder:
    return cast("FrameAutoencoder", model.get_submodule("autoencoder"))


def _read(record: Record) -> dict[str, Tensor]:
    return tensors_of(record, "frames", "landmarks", "visible", "latents", "finished")

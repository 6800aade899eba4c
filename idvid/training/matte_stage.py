"""The stage of the head matte: photos with exact mattes, before backgrounds of their own and of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from idvid.models.face_plan import face_frame
from idvid.models.head_crops import upright_heads
from idvid.training.colours import recoloured
from idvid.training.objective import picture_loss
from idvid.training.pool import Draws, both_splits, tensors_of, to_signed
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from idvid.models.head_matte import HeadMatte
    from idvid.training.pool import ShardPool
    from idvid.training.settings import OptimiserSettings, TrainingSettings

_SEED = 13  # of the held-out photos
_HELD_OUT, _SHOWN = 160, 12
_ARRAYS = ("frames", "mattes", "landmarks")
_GREEN = (-1.0, 0.4, -0.4)


class Cutouts(NamedTuple):
    """Heads and what of them is the person."""

    heads: Tensor  # (B, 3, S, S) in -1..1
    mattes: Tensor  # (B, 1, S, S) in 0..1


class MatteStage:
    """L1 of the matte and of its gradients (Xu et al. 2017, "Deep image matting")."""

    name = "matte"
    rule = Rule(figure="error", is_low_good=True)

    def __init__(
        self, settings: TrainingSettings, shards: Path, starts: tuple[Path, ...], device: str
    ) -> None:
        self._settings = settings.matte
        self.optimiser: OptimiserSettings = self._settings.optimiser

        limit = settings.data.pictures_in_memory
        self.pool, self._validation = both_splits(
            shards, lambda record: tensors_of(record, *_ARRAYS), limit, device
        )
        config: dict[str, object] = {"size_px": self._settings.size_px}
        part, _ = start_part("matte", config, starts)
        self.model: nn.Module = part.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:  # noqa: ARG002 - Stage
        """Cut heads out of a batch of photos."""
        heads, mattes = self._draw(self.pool, draws, self._settings.optimiser.batch_size)
        (heads,) = recoloured((heads,), draws)
        if draws.numpy.random() < self._settings.coarse_share:
            heads = _coarser(heads)
        made = cast("HeadMatte", model)(heads.contiguous(memory_format=torch.channels_last))
        return {"loss": picture_loss(made, mattes, torch.ones_like(mattes))}

    @torch.no_grad()
    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """How wrong mattes of held-out people are, and rows of photos, true cut-outs and made ones.

        Returns:
            `error`: mean absolute difference; `overlap`: intersection over union of what is more than
            half the person's.
        """
        self._validation.poll_all()
        if not self._validation.shards:
            return {}
        draws = Draws.of_step(_SEED, 0, next(model.parameters()).device)
        heads, mattes = self._draw(self._validation, draws, _HELD_OUT)
        made = cast("HeadMatte", model)(heads)
        green = torch.tensor(_GREEN, device=heads.device).view(3, 1, 1)
        rows = [heads, *(green + matte * (heads - green) for matte in (mattes, made))]
        picture = [np.concatenate([to_pixels(head) for head in row[:_SHOWN]], 1) for row in rows]
        Image.fromarray(np.concatenate(picture)).save(sheet)
        found, true = made > 0.5, mattes > 0.5
        overlap = (found & true).sum() / (found | true).sum().clamp(min=1)
        return {"error": float((made - mattes).abs().mean()), "overlap": float(overlap)}

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the head matte."""
        write_parts(folder, matte=cast("HeadMatte", model))

    def _draw(self, pool: ShardPool, draws: Draws, count: int) -> Cutouts:
        """Heads of as many photos, some before the backgrounds of others."""
        layers, points = [], []
        for shard, rows in pool.draw(draws.numpy, count):
            photo = draws.numpy.integers(shard["frames"].shape[1], size=len(rows))
            picks = (rows, torch.from_numpy(photo).to(rows.device))
            mattes = shard["mattes"][picks][:, None].float() / 255
            layers.append(torch.cat([to_signed(shard["frames"][picks]), mattes], dim=1))
            points.append(shard["landmarks"][picks])
        landmarks = torch.cat(points)
        width = face_frame(landmarks)[1].norm(dim=-1)[:, None, None]
        error = torch.randn(landmarks.shape, generator=draws.torch, device=landmarks.device)
        landmarks = landmarks + self._settings.misplaced * width * error
        cut = upright_heads(torch.cat(layers), landmarks, self._settings.size_px)
        heads, mattes = cut[:, :3], cut[:, 3:].clamp(0, 1)
        chance = torch.rand(len(heads), 1, 1, 1, generator=draws.torch, device=heads.device)
        moved = torch.where(chance < self._settings.backdrop_share, mattes, 1.0)
        return Cutouts(moved * heads + (1 - moved) * _backdrops(heads, draws), mattes)


def _backdrops(heads: Tensor, draws: Draws) -> Tensor:
    """Another row's picture for each row, mirrored and moved: what is behind may be a head too."""
    down, right = draws.numpy.integers(heads.shape[-1], size=2).tolist()
    return heads.roll(1, dims=0).flip(-1).roll((down, right), dims=(-2, -1))


def _coarser(heads: Tensor) -> Tensor:
    """As photos of small faces are."""
    small = functional.avg_pool2d(heads, 2)
    return functional.interpolate(small, scale_factor=2, mode="bilinear")

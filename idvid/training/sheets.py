"""Sample sheets and measurements of the video stage on held-out people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from idvid.pipeline.denoise import SHARED_NOISE, denoise
from idvid.training.flow import flow_losses, predictor
from idvid.training.likeness import head_pictures, likeness
from idvid.training.objective import clip_noise, frame_levels
from idvid.training.pool import Draws
from idvid.training.video_batch import SHORT, finish_batch, gather_batch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from idvid.training.cache import FrozenModels
    from idvid.training.pool import ShardPool
    from idvid.training.settings import VideoSettings
    from idvid.training.video_batch import VideoBatch

ROWS = 12  # clips that are measured
ROWS_SHOWN = 8
FRAMES_SHOWN = (0, 3, 7)
_REFERENCES_SHOWN = 4
_SEED = 7  # of the same clips and noise at every look


class VideoJudge:
    """Measures modules in training on a fixed batch of held-out clips."""

    def __init__(
        self, pool: ShardPool, frozen: FrozenModels, slot_ids: Tensor, settings: VideoSettings
    ) -> None:
        self._pool, self._frozen = pool, frozen
        self._slot_ids, self._settings = slot_ids, settings

    def measure(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Loss and likeness; nothing while there is no held-out shard yet."""
        self._pool.poll_all()
        if not self._pool.shards:
            return {}
        draws = Draws.of_step(_SEED, 0, self._slot_ids.device)
        rows = gather_batch(self._pool.first(ROWS), SHORT, draws) | {"slot_ids": self._slot_ids}
        batch = finish_batch(rows, self._settings.without_drops(), draws)
        level = frame_levels(len(batch.ids), SHORT, (1.0, 0.0, 0.0), draws.torch)
        flow = flow_losses(model, batch, level, draws.torch, self._settings.loss_weights)[1]
        noise = clip_noise(batch.latents, draws.torch, SHARED_NOISE)
        *_, made = denoise(
            noise, batch.latents[:, :0], predictor(model, batch), self._settings.sheet_steps
        )
        write_sheet(sheet, made, batch, self._frozen)
        return {"flow": float(flow)} | likeness(made, batch, self._frozen)


def write_sheet(path: Path, made: Tensor, batch: VideoBatch, frozen: FrozenModels) -> None:
    """One row per clip: references | generated frames | original frames."""
    rows = []
    for row in range(min(ROWS_SHOWN, len(made))):
        shown = list(FRAMES_SHOWN)
        pictures = frozen.autoencoder.decode(
            torch.cat([made[row, shown], batch.latents[row, shown]])
        )
        frames = [to_pixels(picture) for picture in pictures.float()]
        heads = [to_pixels(head) for head in head_pictures(batch, row, frozen)]
        rows.append(np.concatenate([_references(heads, frames[0].shape[0]), *frames], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path)


def to_pixels(picture: Tensor) -> NDArray[np.uint8]:
    """A picture (3, H, W) in -1..1 as (H, W, 3) uint8."""
    values = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte()
    return values.permute(1, 2, 0).cpu().numpy()


def _references(heads: list[NDArray[np.uint8]], height: int) -> NDArray[np.uint8]:
    """References side by side, grey below and beside them."""
    side = heads[0].shape[0]
    strip = np.full((height, side * _REFERENCES_SHOWN, 3), 90, np.uint8)
    for index, head in enumerate(heads[:_REFERENCES_SHOWN]):
        strip[:side, index * side : (index + 1) * side] = head[:height]
    return strip

"""The stage of the video transformer, the identity stack and the prompt encoder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from idvid import runtime
from idvid.conditioning.text import slot_ids
from idvid.training.flow import PARTS, flow_losses
from idvid.training.likeness import identity_loss
from idvid.training.objective import frame_levels
from idvid.training.pool import ShardKind, ShardPool
from idvid.training.sheets import VideoJudge
from idvid.training.stage import Rule, start_part, write_parts
from idvid.training.video_batch import (
    ON_HOST,
    batch_size,
    draw_batch,
    finish_batch,
    read_cached,
)

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers.models.modeling_utils import ModelMixin
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from idvid.models.video_transformer import VideoTransformer
    from idvid.training.cache import FrozenModels
    from idvid.training.pool import Draws
    from idvid.training.settings import OptimiserSettings, TrainingSettings, VideoSettings

_PATCH_FEATURES = 4  # latents per patch of a head crop
_MAX_GRAPHS = 64  # of the compiled blocks: sizes of batch, with and without identity


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSources:
    """What the stage reads."""

    shards: Path
    derivative: str
    frozen: FrozenModels
    tokenizer: PreTrainedTokenizerFast
    starts: tuple[Path, ...]  # model folders to start from, best first


class VideoStage:
    """Flow matching on latents, and the identity-preservation loss on a few decoded faces."""

    name = "video"
    rule = Rule(figure="flow", is_low_good=True)

    def __init__(self, settings: TrainingSettings, sources: VideoSources, device: str) -> None:
        self._settings = settings.video
        self.optimiser: OptimiserSettings = settings.video.optimiser
        self._frozen = sources.frozen
        self._tokenizer = sources.tokenizer
        self._slot_ids = slot_ids(sources.tokenizer).to(device)
        parts = _parts(settings, sources)
        self._is_fresh = parts["transformer"][1]
        self.model = nn.ModuleDict({name: part for name, (part, _) in parts.items()})
        if self._settings.compile:
            compile_blocks(self.model["transformer"], device)
        self._is_evened = self._settings.compile and device != "cpu"
        data = settings.data
        self.pool = ShardPool(shards_of(sources, "train"), data.shards_in_memory, device)
        validation = ShardPool(shards_of(sources, "validation"), data.num_validation_shards, device)
        self._judge = VideoJudge(validation, sources.frozen, self._slot_ids, settings.video)

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:
        """Velocity loss of a batch, and every few steps the identity loss."""
        settings = self._settings
        # A model that goes on from trained weights has its lessons in single frames behind it.
        size = batch_size(settings, draws, progress if self._is_fresh else 1.0)
        references = settings.references[size[1] > 1]
        rows = draw_batch(
            self.pool, draws, size, self._slot_ids, references, settings.people_shares
        )
        batch = finish_batch(rows, settings, draws)
        level = frame_levels(*size, settings.level_mixture, draws.torch)
        predicted, flow = flow_losses(
            model, batch, level, draws.torch, settings.loss_weights, evened=self._is_evened
        )
        losses = {"flow": flow, f"flow_{size[1]}": flow, "loss": flow}
        # Drawn in any case, so that runs with and without the loss see the same batches.
        is_turn = draws.numpy.random() < 1 / settings.identity_every
        if is_turn and settings.identity_weight > 0:
            identity = identity_loss(
                predicted,
                batch,
                level,
                self._frozen,
                rows=settings.identity_rows,
                temporal_weight=settings.temporal_weight,
            )
            losses |= {"identity": identity, "loss": flow + settings.identity_weight * identity}
        return losses

    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Held-out loss and likeness, and a sheet of references, generated and original frames."""
        return self._judge.measure(model, sheet)

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the four parts."""
        self._tokenizer.save_pretrained(folder / "tokenizer")
        write_parts(folder, **{name: model.get_submodule(name) for name in PARTS})  # pyright: ignore[reportArgumentType]


def shards_of(sources: VideoSources, split: str) -> ShardKind:
    """The cached shards of a split, as the stages of the video model read them."""
    return ShardKind(
        folder=sources.shards,
        split=split,
        derivative=sources.derivative,
        read=lambda record: read_cached(record, sources.tokenizer),
        on_host=ON_HOST,
    )


def compile_blocks(transformer: nn.Module, device: str) -> None:
    """Compile the repeated blocks: one graph per size of batch, shared by all of them.

    Nothing is done where the compiler that this needs is missing: one for C++ on a CPU, for C on a GPU.
    """
    is_on_cpu = device.startswith("cpu")
    if not (shutil.which("c++") if is_on_cpu else runtime.has_c_compiler()):
        return
    torch._dynamo.config.recompile_limit = _MAX_GRAPHS
    cast("VideoTransformer", transformer).compile_repeated_blocks(dynamic=False)


def _parts(settings: TrainingSettings, sources: VideoSources) -> dict[str, tuple[ModelMixin, bool]]:
    """The trained parts, and whether each is fresh."""
    channels = sources.frozen.autoencoder.config["latent_channels"]
    configs = part_configs(settings.video, channels, len(sources.tokenizer))
    return {name: start_part(name, config, sources.starts) for name, config in configs.items()}


def part_configs(
    video: VideoSettings, channels: int, vocabulary: int
) -> dict[str, dict[str, object]]:
    """Sizes of the parts in training, for latents of so many channels and so many words."""
    return {
        "transformer": {
            "latent_channels": channels,
            "width": video.width,
            "depth": video.depth,
        },
        "identity_encoder": {
            "patch_features": channels * _PATCH_FEATURES,
            "width": video.width,
            "num_tokens": video.identity_tokens,
        },
        "identity_bank": {"width": video.width},
        "prompt_encoder": {
            "vocabulary_size": vocabulary,
            "width": video.width,
            "depth": video.text_depth,
        },
    }

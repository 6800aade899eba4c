"""What the loop asks of a stage, and the folder where the stages leave their parts."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from transformers import PreTrainedTokenizerFast

from idvid.models.checkpoint import (
    ALL_CLASSES,
    PART_CLASSES,
    STUDENT,
    BundledModel,
    load_part,
    save_bundled,
    save_part,
    stored_names,
)
from idvid.training.growth import grown_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers.models.modeling_utils import ModelMixin
    from torch import Tensor, nn

    from idvid.models.face_backbone import FaceBackbone
    from idvid.training.pool import Draws, ShardPool
    from idvid.training.settings import OptimiserSettings


_WORDS = "embedding.weight"  # of a prompt encoder: one row per word


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which of a run's looks at held-out people had the best weights; those are the ones kept."""

    figure: str  # of what `validate` returns
    is_low_good: bool = False

    def worth(self, measured: dict[str, float]) -> float | None:
        """The more the better; None where the figure was not measured."""
        value = measured.get(self.figure)
        if value is None or not math.isfinite(value):
            return None
        return -value if self.is_low_good else value


class Stage(Protocol):
    """One part of the training: its trained modules, its data, its loss."""

    name: str
    rule: Rule
    optimiser: OptimiserSettings
    pool: ShardPool

    @property
    def model(self) -> nn.Module:
        """Everything that is trained."""
        ...

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:
        """Draw a batch and return the losses by name; "loss" is the one to minimise.

        Args:
            model: the modules in training.
            draws: the step's randomness.
            progress: 0..1, how much of the stage is over.
        """
        ...

    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Measure on held-out people and draw a sample sheet."""
        ...

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the trained parts into a model folder."""
        ...


def start_part(
    name: str, config: dict[str, object], folders: Sequence[Path]
) -> tuple[ModelMixin, bool]:
    """A part with the weights of the first folder whose own fit or can grow, else a fresh one.

    A smaller part is grown to these sizes, so that it computes what it did; a part that knows fewer
    words fits too, and the words that it lacks start fresh.

    Returns:
        the part, and whether it is fresh.
    """
    fresh = ALL_CLASSES[name].from_config(config)  # pyright: ignore[reportAttributeAccessIssue]
    for folder in folders:
        if not (folder / name / "config.json").exists():
            continue
        part = load_part(name, folder / name)
        if sizes_of(part) == sizes_of(fresh):
            return part.float().requires_grad_(True).train(), False
        weights = grown_weights(part, fresh)
        if weights is not None:
            fresh.load_state_dict(_with_new_words(weights, fresh))
            return fresh.train(), False
    return fresh.train(), True


def frozen_backbone(starts: Sequence[Path], device: str) -> FaceBackbone | None:
    """The conditioning backbone of the first folder that has one, never the judge."""
    for folder in starts:
        if (folder / "backbone" / "config.json").exists():
            part = load_part("backbone", folder / "backbone")
            return part.to(device, memory_format=torch.channels_last)
    return None


def write_parts(folder: Path, **parts: ModelMixin) -> None:
    """Write parts, and the index of the whole model once all of it is there.

    A student belongs to one teacher: a new transformer sends the old one's away.
    """
    if "transformer" in parts:
        shutil.rmtree(folder / STUDENT, ignore_errors=True)
    for name, part in parts.items():
        save_part(part, folder / name)
    if all((folder / name / "config.json").exists() for name in PART_CLASSES):
        loaded = {name: load_part(name, folder / name) for name in stored_names(folder)}
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
        save_bundled(BundledModel(**loaded, tokenizer=tokenizer), folder)  # pyright: ignore[reportArgumentType]


def _with_new_words(weights: dict[str, Tensor], fresh: ModelMixin) -> dict[str, Tensor]:
    """A part's weights, with the fresh one's rows for the words that it lacks.

    New rows are as long as trained ones on average: much shorter ones would be passed over.
    """
    if _WORDS not in weights:
        return weights
    known, rows = weights[_WORDS], fresh.state_dict()[_WORDS]
    added = rows[len(known) :] * (known.std() / rows.std())
    return weights | {_WORDS: torch.cat([known, added])}


def sizes_of(part: nn.Module) -> dict[str, torch.Size]:
    """Shapes of a part's tensors by name: equal where its weights fit another part."""
    return {name: tensor.shape for name, tensor in part.state_dict().items()}

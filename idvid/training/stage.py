"""What the loop asks of a stage, and the folder where the stages leave their parts."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from transformers import PreTrainedTokenizerFast

from idvid.models.checkpoint import (
    PART_CLASSES,
    STUDENT,
    BundledModel,
    load_part,
    save_bundled,
    save_part,
    stored_names,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers.models.modeling_utils import ModelMixin
    from torch import Tensor, nn

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
    """A part with the weights of the first folder that has it in these sizes, else a fresh one.

    A part that knows fewer words fits too: the words that it lacks start fresh.

    Returns:
        the part, and whether it is fresh.
    """
    fresh = PART_CLASSES[name].from_config(config)  # pyright: ignore[reportAttributeAccessIssue]
    for folder in folders:
        if not (folder / name / "config.json").exists():
            continue
        part = load_part(name, folder / name)
        if _sizes(part) == _sizes(fresh):
            return part.float().requires_grad_(True).train(), False
        if _lacks_words(part, fresh):
            fresh.load_state_dict(_with_new_words(part.float(), fresh))
            return fresh.train(), False
    return fresh.train(), True


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


def _lacks_words(part: ModelMixin, fresh: ModelMixin) -> bool:
    """Whether the part only differs from the fresh one by having fewer words."""
    old, new = _sizes(part), _sizes(fresh)
    if old.keys() != new.keys() or _WORDS not in old:
        return False
    is_alike = all(old[name] == size for name, size in new.items() if name != _WORDS)
    return is_alike and old[_WORDS][1] == new[_WORDS][1] and old[_WORDS][0] < new[_WORDS][0]


def _with_new_words(part: ModelMixin, fresh: ModelMixin) -> dict[str, Tensor]:
    """The part's weights, with the fresh one's rows for the words that it lacks.

    New rows are as long as trained ones on average: much shorter ones would be passed over.
    """
    weights, rows = part.state_dict(), fresh.state_dict()[_WORDS]
    known = weights[_WORDS]
    added = rows[len(known) :] * (known.std() / rows.std())
    return weights | {_WORDS: torch.cat([known, added])}


def _sizes(part: ModelMixin) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in part.state_dict().items()}

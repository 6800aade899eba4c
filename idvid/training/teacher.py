"""The frozen video model that teaches, run as sampling runs it, and the student's own prediction."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from idvid.conditioning.text import encode_prompt
from idvid.errors import ModelError
from idvid.methods import METHODS
from idvid.models.checkpoint import STUDENT, load_part
from idvid.models.prompt_encoder import PAD_ID
from idvid.models.video_transformer import PATCH
from idvid.pipeline.predict import Steering, predictor, student_steering
from idvid.training.flow import PARTS, conditions_of
from idvid.training.stage import sizes_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from idvid.models.conditions import Conditions
    from idvid.models.video_transformer import VideoTransformer
    from idvid.training.segments import Predict
    from idvid.training.video_batch import VideoBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """The frozen full model, and how sampling runs it."""

    parts: nn.ModuleDict
    steering: Steering
    is_evened: bool = False  # see `evened_conditions`

    @property
    def transformer(self) -> VideoTransformer:
        """The full transformer."""
        return cast("VideoTransformer", self.parts["transformer"])

    @torch.no_grad()
    def conditions(self, batch: VideoBatch, strength: float) -> Conditions:
        """What both transformers read."""
        conditions = conditions_of(self.parts, batch, evened=self.is_evened)
        assert conditions.identity is not None, "training clips have references"
        return replace(conditions, identity=replace(conditions.identity, strength=strength))

    @torch.no_grad()
    def predict(self, conditions: Conditions, batch: VideoBatch) -> Predict:
        """The prediction that sampling would use."""
        silent = torch.full_like(batch.ids[:, :1], PAD_ID)
        prompt = encode_prompt(self.parts.get_submodule("prompt_encoder"), silent, batch.names)
        plain = replace(conditions, prompt=prompt, identity=None)
        return predictor(self.transformer, conditions, plain, grid_of(batch), self.steering)


def student_predictor(
    model: nn.Module, conditions: Conditions, batch: VideoBatch, blank: Tensor | float
) -> Predict:
    """The student's prediction while it learns: not guided, held as `student_steering` says."""
    transformer = cast("VideoTransformer", model.get_submodule("transformer"))
    steering = student_steering(METHODS["locks"].hold_until, blank)
    return predictor(transformer, conditions, conditions, grid_of(batch), steering)


def grid_of(batch: VideoBatch) -> tuple[int, int]:
    """Rows and columns of tokens."""
    return batch.latents.shape[-2] // PATCH, batch.latents.shape[-1] // PATCH


def first_student(teacher: nn.Module, starts: Sequence[Path]) -> nn.Module:
    """What a student starts as: an older one, moved as far as its teacher has moved since.

    So a new teacher's student keeps what was distilled before (task arithmetic, Ilharco et al. 2023).
    Without an older one of these sizes it is a copy of its teacher.
    """
    student, weights = copy.deepcopy(teacher), teacher.state_dict()
    for folder in starts:
        if not all((folder / name / "config.json").exists() for name in ("transformer", STUDENT)):
            continue
        older, before = (load_part(name, folder / name) for name in (STUDENT, "transformer"))
        if sizes_of(older) == sizes_of(teacher):
            since = before.state_dict()
            moved = {n: w + weights[n] - since[n] for n, w in older.state_dict().items()}
            student.load_state_dict(moved)
            break
    return student


def frozen_parts(starts: Sequence[Path]) -> nn.ModuleDict:
    """The teacher's parts from the first folder that holds a whole video model.

    Raises:
        ModelError: there is none.
    """
    for folder in starts:
        if all((folder / name / "config.json").exists() for name in PARTS):
            return nn.ModuleDict({name: load_part(name, folder / name) for name in PARTS})
    raise ModelError("There is no video model to distil; train the stage 'video' first.")

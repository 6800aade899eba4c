"""The stage of the few-step student: the video transformer again, taught by the full one.

Only the transformer is trained; what it reads (prompt, identity tokens) comes from the teacher's own
frozen parts. The teacher is run as sampling runs it: guided, with its faces held by the anchors and
with frames of a clip that share noise. So the student needs no guidance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from idvid import runtime
from idvid.conditioning.anchors import blank_latents
from idvid.conditioning.text import slot_ids
from idvid.config import FEW_STEPS
from idvid.methods import METHODS
from idvid.models.checkpoint import STUDENT
from idvid.pipeline.denoise import SHARED_NOISE
from idvid.pipeline.precision import round_linears
from idvid.pipeline.predict import Steering
from idvid.training.distil_judge import DistilJudge
from idvid.training.objective import clip_noise, face_weight, velocity_loss
from idvid.training.pool import ShardPool
from idvid.training.segments import Material, lessons, segments
from idvid.training.stage import Rule, write_parts
from idvid.training.teacher import Teacher, first_student, frozen_parts, student_predictor
from idvid.training.video_batch import batch_size, draw_batch, finish_batch
from idvid.training.video_stage import compile_blocks, shards_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from idvid.training.pool import Draws
    from idvid.training.settings import DistilSettings, OptimiserSettings, TrainingSettings
    from idvid.training.video_stage import VideoSources

_CONTINUED = 0.5  # share of the batches of clips whose first quarter is finished already
_USUAL = 0.5  # share of the batches at the strength that users meet first


class DistilStage:
    """One step of the student for several of the teacher's, on training clips."""

    name = "distil"
    rule = Rule(figure="gap", is_low_good=True)

    def __init__(self, settings: TrainingSettings, sources: VideoSources, device: str) -> None:
        self._settings = settings.distil
        self.optimiser: OptimiserSettings = settings.distil.optimiser
        self._batches = self._settings.batches(settings.video)
        self._slot_ids = slot_ids(sources.tokenizer).to(device)
        parts = frozen_parts(sources.starts)
        # In full precision: the teacher's own weights are rounded for speed.
        first = first_student(parts["transformer"], sources.starts)
        self.model = nn.ModuleDict({"transformer": first})
        self.model.requires_grad_(True).train()
        if runtime.is_fast_in_bf16(device):
            round_linears(parts["transformer"])
        self.teacher = Teacher(
            parts=parts.to(device),
            steering=Steering(
                scale=self._settings.guidance_scale,
                hold_until=METHODS["locks"].hold_until,
                blank=blank_latents(sources.frozen.autoencoder, settings.data.size),
            ),
            is_evened=self._settings.compile and device != "cpu",
        )
        if self._settings.compile:
            compile_blocks(self.model["transformer"], device)
            compile_blocks(parts["transformer"], device)
        self._segments = segments(FEW_STEPS, self._settings.sub_steps)
        data = settings.data
        self.pool = ShardPool(shards_of(sources, "train"), data.shards_in_memory, device)
        validation = ShardPool(shards_of(sources, "validation"), data.num_validation_shards, device)
        self._judge = DistilJudge(
            pool=validation,
            frozen=sources.frozen,
            slot_ids=self._slot_ids,
            settings=self._batches,
            num_steps=FEW_STEPS * self._settings.sub_steps,
        )

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:
        """The mean velocities' error, over all segments of one batch of clips."""
        settings = self._batches
        size = batch_size(settings, draws, progress)
        references = settings.references[size[1] > 1]
        rows = draw_batch(
            self.pool, draws, size, self._slot_ids, references, settings.people_shares
        )
        batch = finish_batch(rows, settings, draws)
        conditions = self.teacher.conditions(batch, _strength(self._settings, draws.numpy))
        teacher = self.teacher.predict(conditions, batch)
        student = student_predictor(model, conditions, batch, self.teacher.steering.blank)
        known = _finished(draws.numpy, size[1])
        noise = clip_noise(batch.latents[:, known:], draws.torch, SHARED_NOISE)
        material = Material(
            clean=batch.latents[:, known:], noise=noise, finished=batch.latents[:, :known]
        )
        shape = (batch.latents.shape[-2], batch.latents.shape[-1])
        weight = face_weight(batch.landmarks, batch.is_visible, shape, *self._settings.loss_weights)
        losses: dict[str, Tensor] = {}
        start = self._settings.start
        for number, lesson in enumerate(lessons(material, teacher, student, start, self._segments)):
            level = torch.full_like(batch.time_s[:, known:], lesson.level)
            losses[f"segment_{number}"] = velocity_loss(
                lesson.predicted, lesson.target, level, weight[:, known:]
            )
        return losses | {"loss": torch.stack(list(losses.values())).mean()}

    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """How far the student ends from its teacher on held-out people, and a sheet of samples."""
        return self._judge.measure(model, self.teacher, sheet)

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the student beside its teacher."""
        write_parts(folder, **{STUDENT: model.get_submodule("transformer")})  # pyright: ignore[reportArgumentType]


def _strength(settings: DistilSettings, rng: np.random.Generator) -> float:
    """The identity strength of one batch: the usual one, or any that users may choose."""
    usual, anything = rng.random() < _USUAL, float(rng.uniform(*settings.strengths))
    return settings.usual_strength if usual else anything


def _finished(rng: np.random.Generator, frames: int) -> int:
    """How many of a clip's first frames are finished: none, or as many as sampling remembers."""
    return frames // 4 if rng.random() < _CONTINUED else 0

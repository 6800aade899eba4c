"""The student beside its teacher on held-out people: from the same noise, how far apart?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from idvid.config import DEFAULTS, FEW_STEPS
from idvid.pipeline.denoise import SHARED_NOISE, denoise
from idvid.training.likeness import likeness
from idvid.training.objective import clip_noise
from idvid.training.pool import Draws
from idvid.training.sheets import ROWS, write_sheet
from idvid.training.teacher import student_predictor
from idvid.training.video_batch import SHORT, finish_batch, gather_batch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from idvid.models.conditions import Conditions
    from idvid.training.cache import FrozenModels
    from idvid.training.pool import ShardPool
    from idvid.training.settings import VideoSettings
    from idvid.training.teacher import Teacher
    from idvid.training.video_batch import VideoBatch

_SEED = 7  # of the same clips and noise at every look


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """The same held-out clips at every look, and what the teacher makes of them."""

    batch: VideoBatch
    conditions: Conditions
    noise: Tensor  # (B, T, C, h, w)
    made: Tensor  # by the teacher in its own steps
    hurried: Tensor  # by the teacher in as few steps as the student's: what is to be improved on


@dataclass(slots=True, kw_only=True)
class DistilJudge:
    """Measures the student in training; the teacher's clips are made once."""

    pool: ShardPool
    frozen: FrozenModels
    slot_ids: Tensor
    settings: VideoSettings
    num_steps: int  # of the teacher
    _exam: Exam | None = field(default=None, init=False)

    def measure(self, model: nn.Module, teacher: Teacher, sheet: Path) -> dict[str, float]:
        """Distances and likeness; nothing while there is no held-out shard yet.

        Returns:
            `gap`: mean squared distance of the student's clips to the teacher's, as a share of
            that of the teacher in few steps; `own`, `nearest`: see `likeness`; the same for the
            teacher.
        """
        if self._exam is None:
            self.pool.poll_all()
            if not self.pool.shards:
                return {}
            self._exam = self._set_exam(teacher)
        exam = self._exam
        predict = student_predictor(model, exam.conditions, exam.batch, teacher.steering.blank)
        *_, made = denoise(exam.noise, exam.noise[:, :0], predict, FEW_STEPS)
        write_sheet(sheet, made, exam.batch, self.frozen)
        before = (exam.hurried - exam.made).square().mean()
        own = likeness(made, exam.batch, self.frozen)
        its = likeness(exam.made, exam.batch, self.frozen)
        its_hurried = likeness(exam.hurried, exam.batch, self.frozen)
        return {
            "gap": float((made - exam.made).square().mean() / before),
            **own,
            **{f"teacher_{name}": value for name, value in its.items()},
            **{f"hurried_{name}": value for name, value in its_hurried.items()},
        }

    def _set_exam(self, teacher: Teacher) -> Exam:
        draws = Draws.of_step(_SEED, 0, self.slot_ids.device)
        rows = gather_batch(self.pool.first(ROWS), SHORT, draws) | {"slot_ids": self.slot_ids}
        batch = finish_batch(rows, self.settings.without_drops(), draws)
        conditions = teacher.conditions(batch, DEFAULTS.identity_strength)
        noise = clip_noise(batch.latents, draws.torch, SHARED_NOISE)
        predict = teacher.predict(conditions, batch)
        *_, made = denoise(noise, noise[:, :0], predict, self.num_steps)
        *_, hurried = denoise(noise, noise[:, :0], predict, FEW_STEPS)
        return Exam(batch=batch, conditions=conditions, noise=noise, made=made, hurried=hurried)

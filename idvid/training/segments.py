"""Lessons for a student of few steps: each of its steps stands for several of the teacher's.

The way from noise to a clean clip is cut into as many segments as the student has steps. In each
the teacher takes its own steps, and the student learns the mean velocity of the whole segment
(piecewise rectified flow: PeRFlow, Yan et al. 2024; progressive distillation, Salimans and Ho 2022).
Knows tensors and predictions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from idvid.pipeline.denoise import euler, follow, time_steps
from idvid.training.objective import add_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    Predict = Callable[[Tensor, Tensor], Tensor]

# Where a segment starts: at noised training clips, where the teacher would be by then, or where
# the student's own steps have brought it.
Start = Literal["data", "teacher", "student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One batch of clips on which the student is taught."""

    clean: Tensor  # (B, T, C, h, w) new frames of the training clips
    noise: Tensor  # the same shape
    finished: Tensor  # (B, F, C, h, w) clean frames that they continue; F may be 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One segment: what the student said, and what it should have said."""

    predicted: Tensor  # (B, T, C, h, w) clean latents, with gradients
    target: Tensor  # the same shape
    level: float  # t at the segment's start


def segments(count: int, sub_steps: int) -> list[Tensor]:
    """The teacher's t in each of `count` segments: (sub_steps + 1,) each, end to end from 0 to 1.

    The ends are the student's own steps, because `time_steps` bends an even spacing.
    """
    fine = time_steps(count * sub_steps)
    return [fine[i * sub_steps : (i + 1) * sub_steps + 1] for i in range(count)]


def one_step_target(begin: Tensor, goal: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The clean value towards which one Euler step from `begin` at t = start ends in `goal`.

    The step's velocity is then the segment's mean one, (goal - begin) / (end - start).
    """
    return begin + (goal - begin) * ((1 - start) / (end - start))


def lessons(
    material: Material, teacher: Predict, student: Predict, start: Start, parts: list[Tensor]
) -> Iterator[Lesson]:
    """Teach every segment once, from noise to clean frames.

    Args:
        material: the clips.
        teacher: (frames, t per frame) -> clean frames; run without gradients.
        student: the same, with gradients.
        start: what the segments start from.
        parts: the teacher's steps, see `segments`.
    """
    current = material.noise
    count = material.finished.shape[1]
    for steps in parts:
        first, last = steps[0], steps[-1]
        with torch.no_grad():
            *_, goal = follow(current, material.finished, teacher, steps)
        level = torch.ones(len(current), count + current.shape[1], device=current.device)
        level[:, count:] = first
        predicted = student(torch.cat([material.finished, current], dim=1), level)[:, count:]
        yield Lesson(
            predicted=predicted,
            target=one_step_target(current, goal, first, last),
            level=float(first),
        )
        if start == "teacher":
            current = goal
        elif start == "student":
            current = euler(current, predicted.detach(), first, last)
        else:
            level = torch.full_like(level[:, count:], float(last))
            current = add_noise(material.clean, material.noise, level)

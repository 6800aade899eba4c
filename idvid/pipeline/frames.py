"""New frames that fit finished ones: a denoising pass, and the look at the faces half-way.

Finished frames may lie before and after the new ones: the model has a time and a noise level per
frame (diffusion forcing, Chen et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idvid.models.autoencoder import SPATIAL_FACTOR
from idvid.models.video_transformer import PATCH
from idvid.pipeline.backend import HEIGHT_PX, WIDTH_PX
from idvid.pipeline.condition import landmarks_px, with_last_landmarks
from idvid.pipeline.decode import decode_frames, to_pixels
from idvid.pipeline.denoise import follow, time_steps
from idvid.pipeline.faces_seen import seen_landmarks
from idvid.pipeline.predict import predictor, sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from idvid.models.checkpoint import BundledModel
    from idvid.models.conditions import Conditions
    from idvid.pipeline.prepare import Request

NEVER = 1.0  # look after all the steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Frames to make, and the finished ones that they must fit."""

    conditions: Conditions  # of the finished frames, then of the new ones
    finished: Tensor  # (1, F, C, h, w) clean latents
    noise: Tensor  # (1, T, C, h, w)


def make_frames(
    model: BundledModel, request: Request, task: Task, look_after: float
) -> Iterator[Tensor]:
    """Denoise; yields latents (1, T, C, h, w) after every step, and the last are the result.

    After the share `look_after` of the steps the faces are looked for on the frames that the model
    predicts, and what follows reads landmarks, regions and anchors that were moved to them. At
    strength 0 nobody looks: the landmarks are the base model's too.
    """
    steps = time_steps(request.settings.num_steps)
    look = _steps_before_look(request, task, look_after)
    before = current = task.noise
    predict = _predict(model, request, task.conditions)
    for latents in follow(current, task.finished, predict, steps[: look + 1]):
        before, current = current, latents
        yield current
    if look == request.settings.num_steps:
        return
    clean = predicted_clean(before, current, float(steps[look - 1]), float(steps[look]))
    conditions = look_again(model, request, task.conditions, clean)
    predict = _predict(model, request, conditions)
    yield from follow(current, task.finished, predict, steps[look:])


def predicted_clean(before: Tensor, after: Tensor, start: float, end: float) -> Tensor:
    """The clean value that an Euler step from t = start to t = end < 1 was heading for."""
    return before + (after - before) * ((1 - start) / (end - start))


def look_again(
    model: BundledModel, request: Request, conditions: Conditions, clean: Tensor
) -> Conditions:
    """The conditions with the new frames' faces where they are seen on `clean` (1, T, C, h, w)."""
    pixels = to_pixels(decode_frames(model.autoencoder, clean[0]))
    planned = landmarks_px(conditions)[:, -len(pixels) :]
    return with_last_landmarks(model, request, conditions, seen_landmarks(pixels, planned))


def _steps_before_look(request: Request, task: Task, look_after: float) -> int:
    """After how many steps faces are looked for; all of them: never."""
    count = request.settings.num_steps
    if task.conditions.identity is None:
        return count
    return min(count, max(1, round(count * look_after)))


def _predict(
    model: BundledModel, request: Request, conditions: Conditions
) -> Callable[[Tensor, Tensor], Tensor]:
    """The clean prediction of `denoise`: guided if asked for, early faces held by anchors."""
    blank = request.prepared.blank
    transformer, steering = sampler(model, request.method, request.settings, blank)
    plain = replace(conditions, prompt=request.prepared.no_prompt, identity=None)
    grid = (HEIGHT_PX // SPATIAL_FACTOR // PATCH, WIDTH_PX // SPATIAL_FACTOR // PATCH)
    return predictor(transformer, conditions, plain, grid, steering)

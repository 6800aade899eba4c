"""A window's frames in the order that the method asks for: all at once, or a keyframe first.

A keyframe is the last frame of a window, made alone, checked against the photos and drawn again if
bad; the frames between then lie between clean ones. The check is the conditioning face backbone's,
never the judge's: what is chosen here is scored by a network that had no say in it. To draw several
candidates and keep the best is best-of-n sampling (Ma et al. 2025, "Inference-time scaling for
diffusion models beyond scaling denoising steps").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from idvid.faces.align import arcface_chips
from idvid.pipeline.condition import at_frames, landmarks_px
from idvid.pipeline.decode import decode_frames
from idvid.pipeline.denoise import clip_noise
from idvid.pipeline.frames import NEVER, make_frames

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from torch import Tensor

    from idvid.methods import Keyframes
    from idvid.models.checkpoint import BundledModel
    from idvid.pipeline.frames import Task
    from idvid.pipeline.prepare import Request


def steps_per_window(request: Request) -> int:
    """Denoising steps of a window, as progress counts them: every candidate that may be drawn."""
    rule = request.keyframes
    return request.settings.num_steps * (1 if rule is None else rule.draws + 1)


def make_window(model: BundledModel, request: Request, task: Task) -> Generator[int, None, Tensor]:
    """Make a window's frames; returns latents (1, T, C, h, w).

    Yields:
        after every denoising step, how many of `steps_per_window` are done. Candidates that need
        not be drawn are counted as done with the first step after them.
    """
    rule, count = request.keyframes, task.noise.shape[1]
    if rule is None or count == 1:  # a frame alone has nothing between
        return (yield from _rest(model, request, task))
    key = yield from draw_keyframe(model, request, last_frame(task), rule)
    between = yield from _rest(model, request, frames_between(task, key, rule))
    return torch.cat([between, key], dim=1)


def draw_keyframe(
    model: BundledModel, request: Request, task: Task, rule: Keyframes
) -> Generator[int, None, Tensor]:
    """Draw candidates (1, 1, C, h, w) until one is good enough; returns the best. Yields steps.

    Candidates keep to the plan, so that the check knows where their faces are.
    """
    planned = landmarks_px(task.conditions)[:, -1]
    best, best_likeness, done = task.noise, -float("inf"), 0
    for _ in range(rule.draws):
        candidate = yield from _counted(make_frames(model, request, task, NEVER), done)
        done += request.settings.num_steps
        likeness = weakest_likeness(model, request, candidate, planned)
        if likeness > best_likeness:
            best, best_likeness = candidate, likeness
        if likeness >= rule.accept:
            break
        task = replace(task, noise=clip_noise(request.noise, 1, request.redraws))
    return best


def weakest_likeness(
    model: BundledModel, request: Request, latents: Tensor, landmarks: Tensor
) -> float:
    """How much the least alike of a frame's people is like their photos: a cosine.

    Args:
        model: for its autoencoder and its conditioning backbone.
        request: for the photos' vectors.
        latents: (1, 1, C, h, w).
        landmarks: where the faces are, (characters, 5, 2) px.
    """
    picture = decode_frames(model.autoencoder, latents[0])
    chips = arcface_chips(picture.expand(len(landmarks), -1, -1, -1), landmarks)
    own = zip(model.backbone(chips).float(), request.prepared.vectors, strict=True)
    return min(float((photos.float() @ face).max()) for face, photos in own)


def last_frame(task: Task) -> Task:
    """The task of the last frame alone."""
    known, count = task.finished.shape[1], task.noise.shape[1]
    conditions = at_frames(task.conditions, [*range(known), known + count - 1])
    return replace(task, conditions=conditions, noise=task.noise[:, -1:])


def frames_between(task: Task, key: Tensor, rule: Keyframes) -> Task:
    """The task of all frames but the last, which is finished: `key` (1, 1, C, h, w)."""
    known, count = task.finished.shape[1], task.noise.shape[1]
    last = known + count - 1
    conditions = at_frames(task.conditions, [*range(known), last, *range(known, last)])
    if not rule.reads_between:
        conditions = replace(conditions, identity=None)
    finished = torch.cat([task.finished, key], dim=1)
    return replace(task, conditions=conditions, finished=finished, noise=task.noise[:, :-1])


def _rest(model: BundledModel, request: Request, task: Task) -> Generator[int, None, Tensor]:
    """The last pass of a window."""
    done = steps_per_window(request) - request.settings.num_steps
    steps = make_frames(model, request, task, request.method.look_after)
    return (yield from _counted(steps, done))


def _counted(steps: Iterator[Tensor], done: int) -> Generator[int, None, Tensor]:
    """Go through a pass and count on from `done`; returns the last step's latents."""
    latents = None
    for after in steps:
        latents, done = after, done + 1
        yield done
    assert latents is not None, "a pass has at least one step"
    return latents

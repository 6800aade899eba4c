"""A clip as a row of windows, and what each window remembers of the frames before it.

Memory does not grow with the clip: a window remembers a few last frames and, if the method asks
for it, a bounded number of older ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from idvid.methods.method import Method

FPS = 12.0
NEW_FRAMES = 12  # per window: one second, so that players get whole segments of a second
_DISTANT_CAPACITY = 8
_DISTANT_GAP_FRAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which frames are made next."""

    first_frame: int
    num_frames: int
    total_frames: int  # of the clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One finished frame: its number in the clip, its latents, its face plan and its anchors."""

    frame: int
    latents: Tensor  # (C, h, w)
    state: Tensor  # (characters, STATE) of the face planner
    anchors: Tensor | None = None  # (C + 1, h, w) references laid on the plan; None without any


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The finished frames that later windows may read, sorted by time."""

    recent: tuple[Remembered, ...] = ()
    distant: tuple[Remembered, ...] = ()
    stride: int = NEW_FRAMES  # every how many frames one is kept as distant


def plan_windows(seconds: float) -> Iterator[Window]:
    """Cut a clip of `seconds` into windows of at most NEW_FRAMES frames."""
    total = max(1, round(seconds * FPS))
    for first in range(0, total, NEW_FRAMES):
        count = min(NEW_FRAMES, total - first)
        yield Window(first_frame=first, num_frames=count, total_frames=total)


def remember(history: History, finished: tuple[Remembered, ...], method: Method) -> History:
    """The history after a window. When the distant frames are too many, every other one goes."""
    recent = (history.recent + finished)[-method.recent_frames :]
    distant, stride = history.distant, history.stride
    if method.distant_frames:
        distant += tuple(item for item in finished if item.frame % stride == 0)
        if len(distant) > _DISTANT_CAPACITY:
            stride *= 2
            distant = tuple(item for item in distant if item.frame % stride == 0)
    return replace(history, recent=recent, distant=distant, stride=stride)


def in_view(history: History, method: Method) -> tuple[Remembered, ...]:
    """The remembered frames that a window reads: distant ones spread evenly, then the recent."""
    recent = {item.frame for item in history.recent}
    distant = [item for item in history.distant if item.frame not in recent]
    if len(distant) > method.distant_frames:
        step = len(distant) / method.distant_frames
        distant = [distant[int(index * step)] for index in range(method.distant_frames)]
    return (*distant, *history.recent)


def frame_times(window: Window, view: tuple[Remembered, ...]) -> Tensor:
    """Seconds (1, F + T) since the first frame in view.

    Distant frames are told to lie just before the recent ones: the model has only seen windows of
    a second or two, and how long ago they were matters less than that they are not now.
    """
    frames = [float(item.frame) for item in view]
    for index in range(len(frames) - 2, -1, -1):
        frames[index] = max(frames[index], frames[index + 1] - _DISTANT_GAP_FRAMES)
    new = range(window.first_frame, window.first_frame + window.num_frames)
    times = torch.tensor([*frames, *new], dtype=torch.float32) / FPS
    return (times - times[0])[None]


def finished_frames(
    window: Window, latents: Tensor, states: Tensor, anchors: Tensor | None
) -> tuple[Remembered, ...]:
    """A window's frames to remember.

    Args:
        window: which frames they are.
        latents: (T, C, h, w).
        states: (characters, T, STATE) of the face planner.
        anchors: (T, C + 1, h, w), None without identity.
    """
    return tuple(
        Remembered(
            frame=window.first_frame + index,
            latents=latents[index],
            state=states[:, index],
            anchors=None if anchors is None else anchors[index],
        )
        for index in range(window.num_frames)
    )


def step_counts(window: Window, steps_per_window: int) -> tuple[int, int]:
    """Denoising steps done before this window, and of the whole clip."""
    windows = -(-window.total_frames // NEW_FRAMES)
    return window.first_frame // NEW_FRAMES * steps_per_window, windows * steps_per_window

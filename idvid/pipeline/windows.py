"""A clip as a row of windows, and what each window remembers of the frames before it.

Memory does not grow with the clip: a window remembers a few last frames and, if the method asks
for it, a bounded number of older ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from idvid.methods.method import Method

FPS = 12.0
NEW_FRAMES = 12  # per window: one second, so that players get whole segments of a second
_DISTANT_CAPACITY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which frames are made next."""

    first_frame: int
    num_frames: int
    total_frames: int  # of the clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One finished frame: its number in the clip, its latents and its face plan."""

    frame: int
    latents: Tensor  # (C, h, w)
    state: Tensor  # (characters, STATE) of the face planner


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

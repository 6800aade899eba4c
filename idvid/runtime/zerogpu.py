"""ZeroGPU Spaces: the one border that a run crosses there. The only user of `spaces`.

There, a task runs in a forked worker that owns the GPU for a reserved time; its arguments and all
it yields are pickled. Files written in the worker may be gone before they are read, and an error
arrives as the bare name of its class. So arrays and numbers cross, no paths, and our own errors
cross as values. Elsewhere nothing of this applies, and `spaces` is not needed.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from idvid.errors import IdvidError

if TYPE_CHECKING:
    from collections.abc import Callable

    from idvid.config import GenerationSettings

_Params = ParamSpec("_Params")
_Event = TypeVar("_Event")
_Events: TypeAlias = Generator[_Event, None, None]
MIN_RESERVED_S, MAX_RESERVED_S = 10, 300  # longer ones wait long, or are refused by quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a model is expected to be on the GPU of a Space."""

    step_s: float  # seconds of one forward pass of one window
    window_s: float  # seconds that each window takes beside its steps: VAE, references
    start_s: float  # seconds before the first step: weights to the GPU, the prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raised:
    """An error of ours on its way out of the worker."""

    error: IdvidError


def on_zero_gpu() -> bool:
    """Whether this is a ZeroGPU Space."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def expected_seconds(settings: GenerationSettings, num_windows: int, pace: Pace) -> float:
    """How long a clip is expected to need the GPU."""
    passes = settings.num_steps * (2 if settings.guidance_scale > 1 else 1)
    return pace.start_s + num_windows * (pace.window_s + passes * pace.step_s)


def gpu_seconds(settings: GenerationSettings, num_windows: int, pace: Pace) -> int:
    """How long to reserve the GPU for: 10 to 300 seconds, with a fifth to spare."""
    expected = expected_seconds(settings, num_windows, pace)
    return min(MAX_RESERVED_S, max(MIN_RESERVED_S, math.ceil(expected * 1.2)))


def gpu_task(
    duration_s: int | Callable[_Params, int],
) -> Callable[[Callable[_Params, _Events[_Event]]], Callable[_Params, _Events[_Event]]]:
    """Mark the generator that needs the GPU of a ZeroGPU Space.

    Elsewhere the generator is returned unchanged.

    Args:
        duration_s: Seconds of GPU to reserve, or a function of the task's arguments.
    """

    def mark(task: Callable[_Params, _Events[_Event]]) -> Callable[_Params, _Events[_Event]]:
        if not on_zero_gpu():
            return task
        import spaces  # pyright: ignore[reportMissingImports]

        return _outside(spaces.GPU(duration=duration_s)(_inside(task)))

    return mark


def _inside(
    task: Callable[_Params, _Events[_Event]],
) -> Callable[_Params, _Events[_Event | _Raised]]:
    """The task as the worker runs it: our errors are its last event."""

    @functools.wraps(task)
    def run(*args: _Params.args, **kwargs: _Params.kwargs) -> _Events[_Event | _Raised]:
        try:
            with closing(task(*args, **kwargs)) as events:
                for event in events:
                    assert not _holds_path(event), "a path crosses the border of a GPU worker"
                    yield event
        except IdvidError as error:
            yield _Raised(error=error)

    return run


def _outside(
    worker: Callable[_Params, _Events[_Event | _Raised]],
) -> Callable[_Params, _Events[_Event]]:
    """The worker as the rest of the process sees it: our errors are raised again."""

    @functools.wraps(worker)
    def run(*args: _Params.args, **kwargs: _Params.kwargs) -> _Events[_Event]:
        with closing(worker(*args, **kwargs)) as events:  # stops the worker if nobody reads on
            for event in events:
                if isinstance(event, _Raised):
                    raise event.error
                yield event

    return run


def _holds_path(value: object) -> bool:
    """Whether there is a path anywhere in an event."""
    if isinstance(value, dict):
        return any(map(_holds_path, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_path, value))
    if is_dataclass(value):
        return any(_holds_path(getattr(value, field.name)) for field in fields(value))
    return isinstance(value, Path)

"""The one generator that makes videos for the page and the API: the methods of a scene in turn.

On a ZeroGPU Space it runs in a worker that borrows the GPU. What goes in are values and the number
of a model, which the worker inherits as it is forked; what comes out are steps and frames. Whoever
closes the generator stops the worker after its current step.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from idvid import runtime
from idvid.errors import InputError
from idvid.pipeline.load import loaded_model
from idvid.types import WindowDone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from idvid.config import GenerationSettings
    from idvid.faces.quality import ReferenceFace
    from idvid.pipeline.load import LoadedModel
    from idvid.runtime import Pace
    from idvid.types import Scene, StepDone, SteppedDown

_Seconds = TypeVar("_Seconds", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be made, as values that can go to another process."""

    model: int  # `LoadedModel.number`
    scene: Scene
    references: tuple[tuple[ReferenceFace, ...], ...]  # usable photos per character
    settings: tuple[GenerationSettings, ...]  # one per method
    before: NDArray[np.uint8] | None = None  # (T, H, W, 3) RGB, that the clips go on from


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An event of one of the methods."""

    method: str
    event: StepDone | WindowDone | SteppedDown


def make(
    model: LoadedModel,
    scene: Scene,
    references: tuple[tuple[ReferenceFace, ...], ...],
    settings: tuple[GenerationSettings, ...],
    before: NDArray[np.uint8] | None = None,
) -> Generator[Made, None, None]:
    """Make a scene with every method, window by window, each in its turn.

    Args:
        model: Held in memory until the generator is closed.
        scene: Prompt, characters, length and seed.
        references: Per character, the usable photos with their faces.
        settings: One per method.
        before: Finished frames that the clips go on from, in the model's size and rate.

    Raises:
        InputError: The pipeline refuses the scene, or it takes longer than a GPU is lent.
        ModelError: Memory ran out and no lower plan helped.
    """
    job = Job(
        model=model.number, scene=scene, references=references, settings=settings, before=before
    )
    # A model without a plan computes on the CPU alone, and would borrow the GPU for nothing.
    if model.plan is None:
        return _in_turn(job)
    if runtime.on_zero_gpu():
        require_time(job)
    return _on_gpu(job)


def require_time(job: Job) -> None:
    """Refuse what a ZeroGPU Space would break off, before it costs anybody's quota.

    Raises:
        InputError: It is expected to take longer than the longest reservation.
    """
    expected = sum(_clips(job, runtime.expected_seconds))
    if expected > runtime.MAX_RESERVED_S:
        raise InputError(
            f"This takes about {expected:.0f} s of GPU and a ZeroGPU Space lends one for "
            f"{runtime.MAX_RESERVED_S} s at most; ask for fewer seconds, steps or methods, or for "
            "guidance 1."
        )


def gpu_seconds(job: Job) -> int:
    """How many seconds of GPU to reserve for a job on a ZeroGPU Space."""
    return min(runtime.MAX_RESERVED_S, sum(_clips(job, runtime.gpu_seconds)))


def _clips(
    job: Job, seconds: Callable[[GenerationSettings, int, Pace], _Seconds]
) -> list[_Seconds]:
    """Seconds of each method's clip."""
    from idvid.pipeline.pace import num_windows, pace_of  # takes seconds to import

    pipeline: Any = loaded_model(job.model).pipeline  # only VACE has a plan, and is sent there
    pace, windows = pace_of(pipeline), num_windows(pipeline, job.scene)
    return [seconds(settings, windows, pace) for settings in job.settings]


def _in_turn(job: Job) -> Generator[Made, None, None]:
    model = loaded_model(job.model)
    with ExitStack() as stack:
        waiting = [
            (each.method, stack.enter_context(closing(_stream(model, job, each))))
            for each in job.settings
        ]
        while waiting:
            method, events = waiting.pop(0)
            for event in events:
                yield Made(method=method, event=event)
                if isinstance(event, WindowDone):
                    waiting.append((method, events))
                    break


def _stream(
    model: LoadedModel, job: Job, settings: GenerationSettings
) -> Generator[StepDone | WindowDone | SteppedDown, None, None]:
    return model.stream(job.scene, job.references, settings, _never, job.before)


def _never() -> bool:
    """Closing the generator between two steps is what cancels here."""
    return False


_on_gpu = runtime.gpu_task(gpu_seconds)(_in_turn)

"""Out of memory in the middle of a run: step down the plan once, say so, and keep the request."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from idvid.errors import ModelError
from idvid.runtime.plan import step_down
from idvid.types import SteppedDown, WindowDone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from idvid.runtime.plan import DevicePlan
    from idvid.types import StepDone

    Event = StepDone | WindowDone | SteppedDown


def run_with_plan(
    current: Callable[[], DevicePlan],
    call: Callable[[], Iterator[Event]],
    place: Callable[[DevicePlan], str | None],
) -> Generator[Event, None, DevicePlan]:
    """The events of a run, which starts again on the next lower plan if memory runs out.

    The request stays as it is, so the second run makes the same frames; windows that the first one
    delivered are not delivered again.

    Args:
        current: What the model is placed by when it is asked; another run may have stepped down.
        call: Starts the run from its beginning.
        place: Places the model by another plan; a sentence on what else that changes is passed on.

    Yields:
        The run's own events, and `SteppedDown` where the plan changed.

    Returns:
        The plan that the run ended on; the caller keeps it for the next run.

    Raises:
        ModelError: If there is no lower plan, or memory runs out again.
    """
    seen = 0  # frames delivered
    for event in _until_full(call()):
        if event is None:
            break
        if isinstance(event, WindowDone):
            seen = event.first_frame + len(event.frames)
        yield event
    else:
        return current()
    plan = current()
    lower = step_down(plan)
    give_back()
    also = place(lower)
    said = f"Out of memory with plan {plan.name}; going on with {lower.sentence}"
    yield SteppedDown(plan=lower.name, message=" ".join(filter(None, (said, also))))
    for event in _until_full(call()):
        if event is None:
            raise ModelError(
                f"{plan.model} ran out of memory with plan {plan.name} and again with {lower.name};"
                " ask for fewer frames or a smaller size, or close what else uses the GPU."
            )
        if not (isinstance(event, WindowDone) and event.first_frame < seen):
            yield event
    return lower


def _until_full(
    events: Iterator[Event],
) -> Iterator[Event | None]:
    """The events, and None last if memory ran out; its error is let go, for it holds tensors."""
    full = False
    try:
        yield from events
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        full = True
    if full:
        yield None


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    signs = ("DefaultCPUAllocator: ", "CUBLAS_STATUS_ALLOC_FAILED")  # these have no type
    return isinstance(error, torch.OutOfMemoryError) or any(s in str(error) for s in signs)


def give_back() -> None:
    """Free what nobody holds any more, on the GPU too."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()

"""Out of memory in the middle of a run: one step down, the request kept, nothing shown twice."""

import gc
import weakref

import numpy as np
import pytest
import torch

from idvid.errors import ModelError
from idvid.runtime import make_plan, run_with_plan, step_down
from idvid.types import StepDone, SteppedDown, WindowDone
from tests.runtime.test_runtime_plan import MODEL, machine


class TinyRun:
    """Two windows of two steps; a plan that is above `limit` bytes runs out in a real allocation."""

    def __init__(self, plan, limit, windows_before=0):
        self.plan, self.limit, self.windows_before = plan, limit, windows_before
        self.placed = []
        self.held = []

    def place(self, plan):
        self.placed.append(plan.name)
        self.plan = plan

    def events(self):
        for window in range(2):
            buffer = torch.zeros(1000)
            self.held.append(weakref.ref(buffer))
            yield StepDone(done=2 * window + 1, total=4)
            if window == self.windows_before and self.plan.peak_vram[0] > self.limit:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            yield StepDone(done=2 * window + 2, total=4)
            frames = np.full((3, 2, 2, 3), window, np.uint8)
            yield WindowDone(first_frame=3 * window, total_frames=6, fps=12, frames=frames)


def collect(run, plan):
    """All events, and the plan that the run returned."""
    events, stream = [], run_with_plan(lambda: run.plan, run.events, run.place)
    while True:
        try:
            events.append(next(stream))
        except StopIteration as stop:
            return events, stop.value


PLAN = make_plan(MODEL, machine(80))


def test_a_run_that_fits_is_left_alone():
    run = TinyRun(PLAN, limit=PLAN.peak_vram[0])
    events, plan = collect(run, PLAN)
    assert plan is PLAN
    assert run.placed == []
    assert events[-1].first_frame == 3
    assert len(events) == 6


@pytest.mark.parametrize("windows_before", [0, 1])
def test_it_steps_down_once_says_so_and_keeps_the_request(windows_before):
    lower = step_down(PLAN)
    run = TinyRun(PLAN, limit=lower.peak_vram[0], windows_before=windows_before)
    events, plan = collect(run, PLAN)
    assert plan == lower
    assert run.placed == [lower.name]
    (note,) = [e for e in events if isinstance(e, SteppedDown)]
    assert note.plan == lower.name == "encoder-off"
    assert note.message.startswith("Out of memory with plan gpu; going on with Some-14B: plan enc")
    windows = [e.first_frame for e in events if isinstance(e, WindowDone)]
    assert windows == [0, 3], "every window once"


def test_the_second_of_two_runs_steps_down_from_where_the_first_one_left_the_model():
    """Both begin on the same plan; the first runs out, and a window later the second does."""
    first = TinyRun(PLAN, limit=step_down(PLAN).peak_vram[0])
    second = TinyRun(PLAN, limit=10**15, windows_before=1)
    now = [PLAN]

    def place(plan):
        now[0] = first.plan = second.plan = plan

    lanes = [run_with_plan(lambda: now[0], run.events, place) for run in (first, second)]
    next(lanes[1])
    list(lanes[0])
    assert now[0].name == "encoder-off"
    second.limit = step_down(now[0]).peak_vram[0]
    (note,) = [e for e in lanes[1] if isinstance(e, SteppedDown)]
    assert note.message.startswith("Out of memory with plan encoder-off; going on with ")
    assert note.plan == now[0].name != "encoder-off"


def test_a_second_time_is_one_sentence():
    run = TinyRun(PLAN, limit=0)
    with pytest.raises(ModelError, match=r"with plan gpu and again with encoder-off; .*\.$"):
        collect(run, PLAN)
    assert run.placed == ["encoder-off"]


def test_without_a_lower_plan_it_is_one_sentence():
    lowest = make_plan(MODEL, machine(8, ram=40))
    assert lowest.fallbacks == ()
    with pytest.raises(ModelError, match=r"ran out of memory with plan group-offload, .*\.$"):
        collect(TinyRun(lowest, limit=0), lowest)


def test_nothing_of_the_failed_run_is_held_while_the_model_is_placed_again():
    run = TinyRun(PLAN, limit=0)
    alive = []

    def place(plan):
        alive.append([ref() is not None for ref in run.held])
        run.limit = plan.peak_vram[0]
        run.plan = plan

    gc.disable()
    try:
        list(run_with_plan(lambda: run.plan, run.events, place))
    finally:
        gc.enable()
    assert alive == [[False]]


def test_a_full_main_memory_counts_too():
    run = TinyRun(PLAN, limit=10**15)
    first = []

    def events():
        if not first:
            first.append(1)
            torch.empty(2**50, dtype=torch.uint8)  # the allocator refuses a petabyte
        yield from run.events()

    events = list(run_with_plan(lambda: run.plan, events, run.place))
    assert isinstance(events[0], SteppedDown)


def test_another_error_passes_unchanged():
    def broken():
        yield StepDone(done=1, total=2)
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(run_with_plan(lambda: PLAN, broken, lambda _plan: pytest.fail("placed again")))

"""Passes of one transformer in the GPU benchmark: every arm beside the stock model, in turn.

A GPU that grows warm or is shared slows all alike, so an arm is compared with the stock pass just
before it. One pass is timed, not the two of a step with guidance: the second reads no identity.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu_arms import (
    Arm,
    counted,
    held,
    identity_of,
    kernel_arm,
    measured,
    one_pass,
    people_arm,
    prepared,
    relative,
    shortened,
)
from benchmarks.gpu_models import build, forward_inputs
from benchmarks.gpu_record import ErrorRow, StepRow, clear
from idvid.models.wan_memory import VideoRequest
from idvid.runtime import GIB, TRANSFORMER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.gpu_models import Size
    from benchmarks.gpu_record import Record

STOCK = Arm(name="stock")
CUDNN = kernel_arm("_native_cudnn")
CHEAP_ARMS = (
    people_arm(2),
    CUDNN,
    people_arm(1),
    people_arm(4),
    kernel_arm("_native_flash"),
)
RARE_ARMS = tuple(kernel_arm(name) for name in ("flash", "_flash_3", "sage"))  # if installed
_REACHED = 0.4  # of the matrix product's rate, guessed
_MARGIN = 1.3  # a pass may take this much longer than the stock model's


@dataclass(slots=True)
class Timing:
    """What an arm took."""

    seconds: list[float] = field(default_factory=list)  # per pass
    of_stock: list[float] = field(default_factory=list)
    peak_bytes: int = 0  # of GPU memory that this model's tensors took; 0 on a CPU
    unlike_stock: float | None = None
    kernels: str = ""  # of attention, where they were noted
    failure: str = ""  # why it is not measured any more

    @property
    def median(self) -> float | None:
        """Seconds per pass; None if there was none."""
        return statistics.median(self.seconds) if self.seconds else None


class Bench:
    """One transformer with what it reads, and what its arms took so far."""

    def __init__(
        self, model: str, size: Size, place: tuple[torch.device, torch.dtype], record: Record
    ) -> None:
        self.model, self.size, self.record, self.device = model, size, record, place[0]
        self._place, self.beside = place, 0
        self.transformer: Any = None
        self.renew()
        self.values = forward_inputs(self.transformer, size, self.device)
        self.operations = 0
        self.timings: dict[str, Timing] = {}
        self._stock: torch.Tensor | None = None

    def renew(self) -> None:
        """Build the transformer, with the same weights each time."""
        self.beside = held(self.device)
        self.transformer = build(self.size.models[self.model][TRANSFORMER], *self._place)

    def expected(self, arm: Arm = STOCK) -> float:
        """Seconds that a pass of this arm will take, or of a like one."""
        timing = self.timings.get(arm.name, Timing())
        stock = self.timings.get(STOCK.name, Timing()).median
        guess = self._guess() if stock is None else stock * _MARGIN
        guess += self.size.guesses.compile if arm.options.compile_backend else 0
        return timing.median or guess

    def works(self, arm: Arm) -> bool:
        """Whether it was measured."""
        return bool(self.timings.get(arm.name, Timing()).seconds)

    def best(self, arms: Sequence[Arm]) -> Arm:
        """The fastest of those that were measured; the stock model if none was."""

        def time_of_stock(arm: Arm) -> float:
            return statistics.median(self.timings[arm.name].of_stock or [1.0])

        return min((arm for arm in arms if self.works(arm)), key=time_of_stock, default=STOCK)

    def turns(self, arms: Sequence[Arm], passes: int = 1) -> None:
        """Let arms take turns; one that failed takes no more."""
        for arm in arms:
            timing = self.timings.setdefault(arm.name, Timing())
            if not timing.failure:
                what = f"{self.model}, {arm.name}"
                expected = self.expected(arm) + (passes - 1) * self.expected()
                why = self.record.attempt(what, expected, lambda a=arm: self._turn(a, passes))
                timing.failure = why
                self._write()

    def count(self) -> None:
        """Count the operations of a pass, and load what it needs."""
        self.operations, kernels = counted(self.transformer, self.values)
        self.timings.setdefault(STOCK.name, Timing()).kernels = kernels
        self.record.say(f"{self.model}: {self.operations / 1e12:.3g} TFLOP a pass; {kernels}")

    def _guess(self) -> float:
        """Seconds of a pass of which only the operations are known, or not even those."""
        rate = (self.record.found.matrix_tflops or 0) * 1e12 * _REACHED
        return self.operations / rate if self.operations and rate else self.size.guesses.first_pass

    def _turn(self, arm: Arm, passes: int) -> None:
        timing = self.timings[arm.name]
        with prepared(self.transformer, arm, self.size):
            identity = identity_of(self.values, arm.people, self.size)
            self._warm_up(arm, identity)
            for _ in range(passes):
                outs: list[torch.Tensor] = []
                seconds, peak = measured(
                    self.device,
                    lambda o=outs: o.append(one_pass(self.transformer, self.values, identity)),
                )
                self._note(timing, arm, seconds, peak - self.beside, outs[0])

    def _warm_up(self, arm: Arm, identity: Any) -> None:  # noqa: ANN401 - WanIdentity or None
        with shortened(self.transformer):
            one_pass(self.transformer, self.values, identity)
        if arm.options.compile_backend is not None:  # more blocks may need more graphs
            one_pass(self.transformer, self.values, identity)

    def _note(self, timing: Timing, arm: Arm, seconds: float, peak: int, out: torch.Tensor) -> None:
        if arm is STOCK:
            self._stock = out
        timing.seconds.append(seconds)
        timing.peak_bytes = max(timing.peak_bytes, peak)
        if self._stock is not None:
            timing.of_stock.append(seconds / self.timings[STOCK.name].seconds[-1])
            timing.unlike_stock = relative(out, self._stock)

    def _write(self) -> None:
        found = self.record.found
        others = [row for row in found.steps if row.model != self.model]
        found.steps = [*others, *(self._row(n, t) for n, t in self.timings.items())]
        self.record.save()

    def _row(self, arm: str, timing: Timing) -> StepRow:
        rate = self.record.found.matrix_tflops
        seconds = timing.median
        floor = self.operations / (rate * 1e12) if rate else 0
        return StepRow(
            model=self.model,
            arm=arm,
            seconds_per_pass=seconds,
            passes=len(timing.seconds),
            of_stock=statistics.median(timing.of_stock) if timing.of_stock else None,
            rate_share=floor / seconds if seconds and floor else None,
            peak_gib=timing.peak_bytes / GIB if timing.peak_bytes > 0 else None,
            unlike_stock=timing.unlike_stock,
            note=timing.failure or timing.kernels,
        )


def errors(bench: Bench, frames: int, arms: Sequence[Arm]) -> None:
    """Note how far a pass of each arm is from the same pass in float32, the surest arms first."""
    wanted = bench.size.request
    request = VideoRequest(
        num_frames=frames,
        height=wanted.height,
        width=wanted.width,
        num_references=wanted.num_references,
    )
    values = forward_inputs(bench.transformer, bench.size, bench.device, request)
    true = _in_float32(bench, values)
    clear()
    for arm in arms:
        with prepared(bench.transformer, arm, bench.size):
            identity = identity_of(values, arm.people, bench.size)
            error = relative(one_pass(bench.transformer, values, identity), true)
        row = ErrorRow(model=bench.model, frames=frames, arm=arm.name, error=error)
        bench.record.found.errors.append(row)


def _in_float32(bench: Bench, values: dict[str, Any]) -> torch.Tensor:
    """The stock pass with the same weights and inputs, computed in float32."""
    part = bench.size.models[bench.model][TRANSFORMER]
    exact: Any = build(part, bench.device, torch.float32)
    exact.load_state_dict(bench.transformer.state_dict())
    wide = {n: v.float() if v.is_floating_point() else v for n, v in values.items()}
    return one_pass(exact, wide)

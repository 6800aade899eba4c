"""What the GPU benchmark has found so far: kept on disk as it grows, and within a time.

The machine may be taken away at any moment and nobody can look for a mistake there, so every piece
of work is tried on its own: what fails, or would not fit into the time, is noted and the rest goes
on.
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from idvid.bench.tables import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REASON = 100  # characters of an error's message that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One arm of one model: passes of its transformer."""

    model: str
    arm: str
    seconds_per_pass: float | None  # with the prompt and all people; the median over the passes
    passes: int
    of_stock: float | None  # time relative to the stock pass just before; the median
    rate_share: float | None  # of the matrix product's rate, counting the stock model's operations
    peak_gib: float | None
    unlike_stock: float | None  # |out - stock's out| / |stock's out|
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """How far one pass is from the same pass in float32, weights and inputs being equal."""

    model: str
    frames: int
    arm: str
    error: float  # |out - float32's out| / |float32's out|


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One whole run, from the prompt to pixels."""

    model: str
    arm: str
    steps: int
    guidance: float
    seconds: float
    step_seconds: tuple[float, ...]  # of the second step and those after it
    seconds_at_30: float  # what 30 steps would take, from the seconds of this run's steps
    peak_gib: float | None
    planned_gib: float | None  # what the device plan expects at most
    difference: float | None  # mean of |pixel - stock's pixel|, of 255


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One device plan carried out."""

    model: str
    plan: str
    quantise: str
    tiled: bool
    planned_gib: float
    peak_gib: float | None  # that tensors took
    reserved_gib: float | None  # that the allocator took from the GPU
    of_peak: float | None  # planned / peak: at least 1, at most 1.1
    seconds: float  # one step without guidance, and text and pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was not measured, and why."""

    what: str
    why: str


@dataclass(slots=True, kw_only=True)
class Found:
    """Everything that one call found."""

    size: str
    gpu: str
    torch: str
    precision: str
    seconds: float  # that it may take
    taken: float = 0.0
    matrix_tflops: float | None = None
    steps: list[StepRow] = field(default_factory=list)
    errors: list[ErrorRow] = field(default_factory=list)
    whole: list[Whole] = field(default_factory=list)
    plans: list[PlanRow] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


class Record:
    """Tries one thing after the other and writes down what came of it."""

    def __init__(
        self, found: Found, out: Path, table: Callable[[Found], str], start: float
    ) -> None:
        self.found, self.out, self.table, self.start = found, out, table, start

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.start + self.found.seconds - time.perf_counter()

    def attempt(self, what: str, expected: float, act: Callable[[], object]) -> str:
        """Do it if it is expected to fit; returns why it was not done, "" if it was.

        Args:
            what: to show.
            expected: seconds that it takes, as far as is known.
            act: notes its findings in `found` itself.
        """
        if self.left < expected:
            why = f"no time: {expected:.0f} s expected, {max(0, self.left):.0f} s left"
            return self.leave_out(what, why)
        why = ""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - nobody can look there; the rest must go on
            why = _in_short(error)
            traceback.print_exc(limit=-4)
        if why:
            _free()  # only now does no traceback hold the tensors
            self.leave_out(what, why)
        self.say(what if not why else f"{what}: {why}")
        self.save()
        return why

    def say(self, what: str) -> None:
        """One line for whoever watches."""
        sys.stdout.write(f"[{time.perf_counter() - self.start:6.1f} s] {what}\n")
        sys.stdout.flush()

    def save(self) -> None:
        """Write what is known."""
        self.found.taken = time.perf_counter() - self.start
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "gpu.md").write_text(self.table(self.found), "utf-8")
        write(self.out / "gpu.json", self.found)

    def leave_out(self, what: str, why: str) -> str:
        """Note what is not measured; returns why."""
        self.found.left_out.append(LeftOut(what=what, why=why))
        self.save()
        return why


def clear() -> None:
    """Give back what no object holds any more."""
    _free()


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _in_short(error: BaseException) -> str:
    """With the error behind it, which a message for users does not tell."""
    message = " ".join(str(error).split())
    behind = f"; {_in_short(error.__cause__)}" if error.__cause__ else ""
    return f"{type(error).__name__}: {message[:_REASON]}{behind}"

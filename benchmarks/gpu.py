"""Speed and memory of the Wan backends on a CUDA GPU, at full size with random weights.

    python -m benchmarks.gpu                    # VACE 1.3B and T2V 14B at 832x480, 81 frames
    python -m benchmarks.gpu --size tiny        # proves the logic anywhere, its numbers mean nothing

Per model: seconds per step of stock diffusers, of identity attention for 1, 2 and 4 people, of
attention kernels, TaylorSeer and compilation, in turn; the share of the rate of a large matrix
product; the peak of GPU memory. For VACE also whole runs of the stock pipeline and ours, and the
device plan's peak beside the measured one. Writes gpu.md and gpu.json.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu_arms import Timing, arms_of, matrix_rate, operations, time_in_turn
from benchmarks.gpu_models import SIZES, build, forward_inputs
from benchmarks.gpu_whole import Whole, whole_runs
from idvid import runtime
from idvid.bench.tables import NOTHING, markdown, write
from idvid.runtime import GIB, TRANSFORMER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.gpu_models import Size

NO_GPU = (
    "This benchmark needs a CUDA GPU and there is none, so nothing was measured; "
    "run it on one, or try its logic with --size tiny.\n"
)
BACKENDS = ("_native_flash", "_native_cudnn", "_native_efficient", "flash", "_flash_3", "sage")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One arm of one model."""

    model: str
    arm: str
    seconds_per_step: float | None  # two passes; the median over the repeats
    of_stock: float | None  # time relative to the stock model's
    rate_share: float | None  # of the matrix product's rate, counting the stock model's operations
    peak_gib: float | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that one call found."""

    size: str
    gpu: str
    torch: str
    precision: str
    matrix_tflops: float
    steps: tuple[StepRow, ...]
    whole: tuple[Whole, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    asked = _parser().parse_args(arguments)
    if asked.size == "full" and not torch.cuda.is_available():
        sys.stderr.write(NO_GPU)
        return 0
    size, device = SIZES[asked.size], runtime.device()
    precision = runtime.dtype(device)
    rate = matrix_rate(device, precision, size.matrix)
    names = [name for name in size.models if not asked.model or name in asked.model]
    rows = [r for n in names for r in _steps(n, size, (device, precision), rate, asked.repeats)]
    vace = [name for name in names if name.startswith("VACE")]
    result = Result(
        size=asked.size,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else "none",
        torch=torch.__version__,
        precision=str(precision).removeprefix("torch."),
        matrix_tflops=rate / 1e12,
        steps=tuple(rows),
        whole=tuple(w for n in vace for w in whole_runs(n, size, device, precision)),
    )
    text = table(result)
    print(text)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "gpu.md").write_text(text, "utf-8")
    write(asked.out / "gpu.json", result)
    return 0


def table(result: Result) -> str:
    """The result as Markdown."""
    head = (
        f"{result.size} size on {result.gpu}, torch {result.torch}, {result.precision}, matrix "
        f"product {result.matrix_tflops:.3g} TFLOP/s. A step is two passes, with guidance.\n\n"
    )
    steps = markdown(
        ("model", "arm", "s per step", "of stock", "of matrix rate", "peak, GiB", "note"),
        [
            (
                row.model,
                row.arm,
                _shown(row.seconds_per_step, ".3g"),
                _shown(row.of_stock, ".3f"),
                _shown(row.rate_share, ".0%"),
                _shown(row.peak_gib, ".1f"),
                row.note or NOTHING,
            )
            for row in result.steps
        ],
    )
    whole = markdown(
        ("model", "whole run", "steps", "s", "s per step", "peak, GiB", "planned", "difference"),
        [
            (
                row.model,
                row.arm,
                str(row.steps),
                _shown(row.seconds, ".3g"),
                _shown(row.seconds_per_step, ".3g"),
                _shown(row.peak_gib, ".1f"),
                _shown(row.planned_gib, ".1f"),
                _shown(row.difference, ".2f"),
            )
            for row in result.whole
        ],
    )
    note = (
        "\nDifference: mean over all pixels to the stock pipeline's, of 255, from the same noise.\n"
    )
    return f"{head}{steps}\n{whole}{note if result.whole else ''}"


def _steps(
    model: str,
    size: Size,
    place: tuple[torch.device, torch.dtype],
    rate: float,
    repeats: int,
) -> list[StepRow]:
    transformer: Any = build(size.models[model][TRANSFORMER], *place)
    values = forward_inputs(transformer, size, place[0])
    work = operations(transformer, values)
    timings = time_in_turn(transformer, values, arms_of(size, BACKENDS), size, repeats)
    stock = timings["stock"].median
    rows = [_row(model, arm, timing, stock, work / rate) for arm, timing in timings.items()]
    del transformer, values
    if place[0].type == "cuda":
        torch.cuda.empty_cache()
    return rows


def _row(model: str, arm: str, timing: Timing, stock: float | None, floor: float) -> StepRow:
    seconds = timing.median
    return StepRow(
        model=model,
        arm=arm,
        seconds_per_step=seconds,
        of_stock=seconds / stock if seconds and stock else None,
        rate_share=floor / seconds if seconds else None,
        peak_gib=timing.peak_bytes / GIB if timing.peak_bytes else None,
        note=timing.failure,
    )


def _shown(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    today = datetime.datetime.now(datetime.UTC).date()
    results = Path(__file__).parent / "results" / str(today)
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--model", action="append", help="one of the size's models; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="default %(default)s")
    parser.add_argument("--out", type=Path, default=results, metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())

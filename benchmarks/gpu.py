"""Speed and memory of the Wan backends on a CUDA GPU, at full size with random weights.

    python -m benchmarks.gpu                    # VACE 1.3B and T2V 14B at 832x480, 81 frames
    python -m benchmarks.gpu --seconds 280      # what matters most in that time
    python -m benchmarks.gpu --only plans,quantised,t2v-14b,vace-14b  # these parts, in this order
    python -m benchmarks.gpu --size tiny        # proves the logic anywhere, its numbers mean nothing

In the order of worth: passes of stock diffusers, of identity attention and of attention kernels;
their error against float32; compilation; whole runs of the stock pipeline and ours; device plans
of smaller cards beside the measured peaks, quantised ones too; the 14B models as whole pipelines.
What fails or does not fit into the time is listed and the rest goes on. gpu.md and gpu.json are
written as they grow.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers.utils import logging

from benchmarks.gpu_models import SIZES
from benchmarks.gpu_order import PARTS, measure
from benchmarks.gpu_record import Found, Record
from benchmarks.gpu_tables import table
from idvid import runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_GPU = (
    "This benchmark needs a CUDA GPU and there is none, so nothing was measured; "
    "run it on one, or try its logic with --size tiny.\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    start = time.perf_counter()
    asked = _parser().parse_args(arguments)
    if asked.size == "full" and not torch.cuda.is_available():
        sys.stderr.write(NO_GPU)
        return 0
    logging.set_verbosity_error()  # choosing an attention kernel warns each time
    size, device = SIZES[asked.size], runtime.device()
    place = (device, runtime.dtype(device))
    found = Found(
        size=asked.size,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else "none",
        torch=torch.__version__,
        precision=str(place[1]).removeprefix("torch."),
        seconds=asked.seconds,
    )
    record = Record(found, asked.out, table, start)
    measure(size, place, record, asked.only)
    record.save()
    print(table(found))
    return 0


def _parts(names: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    if unknown := [name for name in parts if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part '{unknown[0][:40]}'; use {', '.join(PARTS)}")
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    today = datetime.datetime.now(datetime.UTC).date()
    results = Path(__file__).parent / "results" / str(today)
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--seconds", type=float, default=1200.0, help="in all; %(default)s")
    parser.add_argument(
        "--only", type=_parts, default=tuple(PARTS), metavar="PART[,PART...]", help=", ".join(PARTS)
    )
    parser.add_argument("--out", type=Path, default=results, metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())

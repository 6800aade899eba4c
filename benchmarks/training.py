"""What share of the matrix rate does training the video model reach?

    python -m benchmarks.training --compile            # the GPU preset's batches, on the device at hand
    python -m benchmarks.training --rows 2 --steps 1   # small enough for two cores
    python -m benchmarks.training --rows 64 --count 742 3010   # what a machine of so many TFLOP/s
                                                               # and GB/s could reach, by counting

Times whole steps (forward, backward, optimiser) on random batches of the preset's three sizes, for
the shipped model, and of the middle one for larger models, plain and compiled, and prints
milliseconds per step beside the time that its operations alone would take at the rate of a large
matrix product measured in the same run, and the share of that rate which memory allows (`roofline`):
the products alone, and products as libraries have them. Padding that compiled blocks read counts for
nothing. Data, averaged weights and the identity loss are left out.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_arms import matrix_rate, measured
from benchmarks.roofline import Work, copy_rate, work_of
from idvid import runtime
from idvid.bench.tables import markdown
from idvid.models.checkpoint import PART_CLASSES
from idvid.training.flow import flow_losses
from idvid.training.optimisers import build_optimisers
from idvid.training.presets import PRESETS
from idvid.training.video_batch import LONG, SHORT, SINGLE, VideoBatch
from idvid.training.video_stage import compile_blocks, part_configs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.optim import Optimizer

    from idvid.training.settings import VideoSettings

CHANNELS, WORDS, VOCABULARY = 12, 48, 400
ROWS, COLUMNS = 16, 28  # of latents
PEOPLE = 2
LARGER = {384: 12, 768: 12, 1536: 16}  # width: depth, of models that the shipped one can grow to
_MOST = ("at most, products alone", "at most, library products")
MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One arm."""

    name: str
    rows: int
    frames: int  # per row
    seconds: float | None  # per step; None: only counted
    work: Work  # per step

    def row(self, rate: float, bandwidth: float) -> tuple[str, ...]:
        """A line of the table, for operations of matrix products and bytes of copies per second."""
        floor = self.work.operations / rate
        return (
            self.name,
            f"{self.rows} x {self.frames}",
            f"{1e3 * self.seconds:.1f}" if self.seconds else "-",
            f"{1e3 * floor:.1f}",
            f"{floor / self.seconds:.1%}" if self.seconds else "-",
            f"{floor / self.work.seconds(rate, bandwidth, fused=True):.0%}",
            f"{floor / self.work.seconds(rate, bandwidth):.0%}",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    asked = _parser().parse_args(arguments)
    device = runtime.device()
    rate, bandwidth = _rates(device, asked.count)
    name = "counted for" if asked.count else f"{_name(device)}, torch {torch.__version__},"
    print(f"{name} matrix product {rate / 1e12:.3g} TFLOP/s, copies {bandwidth / 1e9:.3g} GB/s")
    timings = []
    for sized, size in _cases(asked):
        for compiled in _ways(asked):
            how = {"compiled": compiled, "profiled": asked.profile and not timings}
            steps = 0 if asked.count else asked.steps
            timings.append(_arm(sized, size, steps, device, **how))
            print(*timings[-1].row(rate, bandwidth), flush=True)
    head = ("model", "clips x frames", "ms per step", "floor, ms", "of matrix rate", *_MOST)
    print(markdown(head, [timing.row(rate, bandwidth) for timing in timings]))
    return 0


def _rates(device: torch.device, given: Sequence[float] | None) -> tuple[float, float]:
    """Operations and bytes per second: measured, or given in TFLOP/s and GB/s."""
    if given:
        return given[0] * 1e12, given[1] * 1e9
    side = MATRIX_SIDE.get(device.type, 1024)
    return matrix_rate(device, torch.bfloat16, side), copy_rate(device)


def _cases(asked: argparse.Namespace) -> list[tuple[VideoSettings, tuple[int, int]]]:
    video = PRESETS["h200"].video
    rows = asked.rows or video.optimiser.batch_size
    cases = [(video, size) for size in _sizes(video, rows)]
    for width in asked.larger:
        grown = replace(video, width=width, depth=LARGER[width])
        cases.append((grown, (_fitting(rows, video, grown), SHORT)))
    return cases


def _ways(asked: argparse.Namespace) -> tuple[bool, ...]:
    """Compiled or not."""
    if asked.count:
        return (False,)
    return (False, True)[not asked.plain : 1 + (asked.compile or not asked.plain)]


def _sizes(video: VideoSettings, rows: int) -> tuple[tuple[int, int], ...]:
    """Rows and frames of the preset's batches: clips, long clips, single frames."""
    singles = video.single_batch * rows // video.optimiser.batch_size
    return (rows, SHORT), (max(1, rows // 2), LONG), (max(1, singles), SINGLE)


def _fitting(rows: int, video: VideoSettings, grown: VideoSettings) -> int:
    """Rows with which a grown model's activations take the memory that the preset's do."""
    return max(1, rows * video.width * video.depth // (grown.width * grown.depth))


def _arm(
    video: VideoSettings,
    size: tuple[int, int],
    steps: int,
    device: torch.device,
    *,
    compiled: bool,
    profiled: bool,
) -> Timing:
    torch.manual_seed(0)
    model = _model(video).to(device).train()
    optimisers = build_optimisers(model, video.optimiser)
    batch = _batch(size, video.references[size[1] > 1], device)
    is_evened = False

    def step() -> None:
        _step(model, optimisers, batch, video, evened=is_evened)

    if steps:
        step()  # kernels are chosen
    work = work_of(step)
    if compiled:
        is_evened = device.type != "cpu"
        compile_blocks(model["transformer"], device.type)
        for _ in range(2):
            step()

    def all_steps() -> None:
        for _ in range(steps):
            step()

    if profiled:
        print(_kernels(step))
    return Timing(
        name=f"{video.width} wide, {video.depth} blocks{', compiled' if compiled else ''}",
        rows=size[0],
        frames=size[1],
        seconds=measured(device, all_steps)[0] / steps if steps else None,
        work=work,
    )


def _model(video: VideoSettings) -> nn.ModuleDict:
    configs = part_configs(video, CHANNELS, VOCABULARY)
    return nn.ModuleDict(
        {name: PART_CLASSES[name].from_config(config) for name, config in configs.items()}  # pyright: ignore[reportAttributeAccessIssue]
    )


def _step(
    model: nn.Module,
    optimisers: tuple[Optimizer, ...],
    batch: VideoBatch,
    video: VideoSettings,
    *,
    evened: bool,
) -> None:
    device = batch.latents.device
    noise = torch.Generator(device).manual_seed(0)
    level = torch.rand(batch.time_s.shape, generator=noise, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        _, loss = flow_losses(model, batch, level, noise, video.loss_weights, evened=evened)
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def _kernels(step: Callable[[], None]) -> str:
    """What takes the time of one step on a GPU, the longest first."""
    kinds = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with profile(activities=kinds[: 1 + torch.cuda.is_available()]) as seen:
        step()
    order = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    return seen.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=90)


def _batch(size: tuple[int, int], references: int, device: torch.device) -> VideoBatch:
    """Random clips of two people; what they show costs nothing."""
    rows, frames = size
    source = torch.Generator(device).manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(rows, *shape, generator=source, device=device)

    faces = torch.tensor([[0.6, 0.4], [0.55, 0.4], [0.4, 0.4], [0.45, 0.4], [0.5, 0.5]])
    ids = torch.randint(10, VOCABULARY, (rows, WORDS), generator=source, device=device)
    ids[:, 0], ids[:, 5] = 1, 2
    slots = torch.arange(PEOPLE, device=device).expand(rows, -1)
    return VideoBatch(
        latents=normal(frames, CHANNELS, ROWS, COLUMNS),
        anchors=normal(frames, CHANNELS + 1, ROWS, COLUMNS).sigmoid(),
        time_s=(torch.arange(frames, device=device) / 12).expand(rows, -1),
        ids=ids,
        landmarks=faces.to(device).expand(rows, PEOPLE, frames, 5, 2)
        + 0.02 * normal(PEOPLE, frames, 5, 2),
        expression=normal(PEOPLE, frames, 9),
        is_visible=torch.ones(rows, PEOPLE, frames, dtype=torch.bool, device=device),
        slots=slots,
        names=slots + 1,
        vectors=nn.functional.normalize(normal(PEOPLE, references, 512), dim=-1),
        patches=normal(PEOPLE, references, 25, CHANNELS * 4),
        has_reference=torch.ones(rows, PEOPLE, references, dtype=torch.bool, device=device),
        is_given=torch.ones(rows, dtype=torch.bool, device=device),
    )


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, help="clips per step; default: the preset's")
    parser.add_argument("--steps", type=int, default=10, help="timed; default %(default)s")
    parser.add_argument(
        "--count",
        type=float,
        nargs=2,
        metavar=("TFLOPS", "GBPS"),
        help="time nothing; say what a machine of these rates could reach",
    )
    parser.add_argument("--compile", action="store_true", help="measure compiled blocks too")
    parser.add_argument(
        "--no-plain", dest="plain", action="store_false", help="measure compiled blocks alone"
    )
    parser.add_argument("--profile", action="store_true", help="show the kernels of the first")
    parser.add_argument(
        "--larger",
        type=int,
        nargs="*",
        choices=tuple(LARGER),
        default=list(LARGER),
        help="widths of models beside the shipped one; default: all",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

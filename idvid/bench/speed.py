"""How fast is the main job on this machine, stage by stage, and how near the arithmetic's floor?

The floor of a stage is its multiplications and additions at the rate that a large matrix product
reaches on the same machine in the same run. Models are loaded before the clock starts, as they are
on the page.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

import torch

from idvid import runtime
from idvid.bench import tables
from idvid.bench.cast import make_cast
from idvid.bench.photos import USUAL
from idvid.bench.scenes import make_scenes
from idvid.bench.stopwatch import STAGES, STEP, Stopwatch, matrix_rate
from idvid.faces.quality import check_references
from idvid.media.video import SegmentWriter
from idvid.metrics.report import DriftMeter
from idvid.pipeline.generate import load_pipeline
from idvid.types import StepDone

if TYPE_CHECKING:
    from idvid.bench.settings import BenchRun
    from idvid.config import GenerationSettings
    from idvid.pipeline.generate import IdVidPipeline
    from idvid.types import Scene

CHECK, ENCODE, MEASURE = "check references", "encode video", "measure"
ORDER = (CHECK, *STAGES[:3], STEP, STAGES[3], ENCODE, MEASURE)
FIRST, WHOLE, MADE = "first pictures", "whole, measured", "whole, not measured"


def run(call: BenchRun) -> str:
    """Time one scene, write speed.json and speed.md; returns the table."""
    cast = make_cast(call.stage.people, USUAL)
    scene = make_scenes(cast, call.stage)[0]
    photos = [member.photos for member in scene.members]
    request, settings = scene.request(photos, scene.plain_caption()), call.contender.settings
    pipeline = load_pipeline(call.contender.model)
    for event in pipeline.stream(request, photos, settings):  # whatever is made on first use
        if isinstance(event, StepDone):
            break
    times, counts = Stopwatch(), Stopwatch(counts_flops=True)
    moments = job(pipeline, request, settings, times)
    dtype = torch.bfloat16 if runtime.has_fast_bf16() else torch.float32
    rate = matrix_rate(dtype)
    job(pipeline, request, settings, counts)
    table = table_of(request, times, counts.flops, moments, rate)
    (call.out / "speed.md").write_text(table, "utf-8")
    stages = {
        name: {
            "seconds": times.seconds[name],
            "calls": times.calls[name],
            "flops": counts.flops[name],
        }
        for name in ORDER
    }
    result = {"run": call, "environment": tables.environment(), "stages": stages}
    tables.write(call.out / "speed.json", result | {"seconds": moments, "flops_per_second": rate})
    return table


def job(
    pipeline: IdVidPipeline, request: Scene, settings: GenerationSettings, watch: Stopwatch
) -> dict[str, float]:
    """The main job from photos to measured video; seconds to its moments."""
    start, moments = time.perf_counter(), {}
    with watch.stage(CHECK):
        references = check_references(request.characters).references
    named = dict(zip((c.name for c in request.characters), references, strict=True))
    writer, meter = None, None
    with watch.on(pipeline):
        for event in pipeline.stream(request, references, settings):
            if isinstance(event, StepDone):
                continue
            if writer is None or meter is None:
                writer, meter = SegmentWriter(event.fps), DriftMeter(named, event.fps)
            with watch.stage(ENCODE):
                writer.write(event.frames)
            moments.setdefault(FIRST, time.perf_counter() - start)
            with watch.stage(MEASURE):
                meter.add(event.frames)
    assert meter is not None, "a pipeline yields at least one window"
    with watch.stage(MEASURE):
        meter.report()
    moments[WHOLE] = time.perf_counter() - start
    moments[MADE] = moments[WHOLE] - watch.seconds[MEASURE]
    return moments


def table_of(
    request: Scene,
    times: Stopwatch,
    flops: dict[str, int],
    moments: dict[str, float],
    rate: float,
) -> str:
    """Seconds per stage beside the floor of its arithmetic."""
    whole, known = moments[WHOLE], defaultdict(int, flops)
    rows = []
    for name in ORDER:
        seconds, floor = times.seconds[name], known[name] / rate
        rows.append(
            [
                name,
                str(times.calls[name]),
                f"{seconds:.2f}",
                f"{1000 * seconds / max(times.calls[name], 1):.0f}",
                f"{seconds / whole:.0%}",
                f"{known[name] / 1e9:.0f}" if known[name] else tables.NOTHING,
                f"{floor:.2f}" if known[name] else tables.NOTHING,
                f"{floor / seconds:.0%}" if known[name] else tables.NOTHING,
            ]
        )
    header = ("stage", "calls", "s", "ms a call", "of the whole", "GFLOP", "floor, s", "reached")
    said = ", ".join(f"{name} {value:.1f} s" for name, value in moments.items())
    memory = runtime.peak_memory_bytes() / 2**30
    return (
        f"{len(request.characters)} people, {request.seconds:g} s of video, "
        f"{torch.get_num_threads()} threads, matrix product {rate / 1e9:.0f} GFLOP/s: {said}; "
        f"peak memory {memory:.2f} GiB.\n\n" + tables.markdown(header, rows)
    )

"""Time of a drift report: a 10 s clip of 224x128 with two people, beside real time.

    python -m benchmarks.drift

Prints one line with the split over the stages. CPU seconds stand beside wall seconds, because other
work on the machine slows only the latter.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.cast import reference_faces
from idvid.faces import track as track_module
from idvid.faces.embed import load_judge
from idvid.metrics import report as report_module
from idvid.metrics.report import DriftMeter
from idvid.people import build_person, render_clip, sample_person, sample_scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SECONDS, FPS, RENDERED = 10, 12.0, 24
PERSON_SEEDS = {"Ana": 950_100, "Bo": 950_101}
SCENE_SEED, PHOTO_SEEDS = 950_001, (960_001, 960_002, 960_003)


class Stopwatch:
    """Adds up the CPU seconds of all threads while functions that it wraps run, one at a time."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def wrap(self, stage: str, function: Callable) -> Callable:
        """The same function, timed."""

        def timed(*args: object, **keywords: object) -> object:
            start = time.process_time()
            try:
                return function(*args, **keywords)
            finally:
                spent = time.process_time() - start
                self.spent[stage] = self.spent.get(stage, 0.0) + spent

        return timed


def frames_of_clip() -> NDArray[np.uint8]:
    """Ten seconds: two rendered seconds played to and fro."""
    people = [build_person(sample_person(seed)) for seed in PERSON_SEEDS.values()]
    clip = render_clip(sample_scene(SCENE_SEED, 2, RENDERED, FPS), people).frames
    there_and_back = np.concatenate([clip, clip[::-1]])
    repeats = -(-round(SECONDS * FPS) // len(there_and_back))
    return np.concatenate([there_and_back] * repeats)[: round(SECONDS * FPS)]


def main() -> None:
    """Measure and print."""
    judge, watch, frames = load_judge(), Stopwatch(), frames_of_clip()
    people = {
        name: reference_faces(build_person(sample_person(seed)), PHOTO_SEEDS)
        for name, seed in PERSON_SEEDS.items()
    }
    DriftMeter(people, FPS, judge).add(frames[:2])  # lazy loading is not the clip's time
    track_module.find_in_each = watch.wrap("detect", track_module.find_in_each)
    judge.embed = watch.wrap("embed", judge.embed)
    report_module.looks = watch.wrap("expression", report_module.looks)
    wall, cpu = time.perf_counter(), time.process_time()
    meter = DriftMeter(people, FPS, judge)
    for start in range(0, len(frames), 16):
        meter.add(frames[start : start + 16])
    report = meter.report()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    watch.spent["rest"] = cpu - sum(watch.spent.values())
    stages = ", ".join(f"{stage} {spent:.2f}" for stage, spent in watch.spent.items())
    height, width = frames.shape[1:3]
    print(
        f"drift report of {SECONDS} s ({len(frames)} frames {width}x{height}, "
        f"{len(report.characters)} people, presence "
        f"{np.mean([drift.presence for drift in report.characters]):.2f}): "
        f"{wall:.2f} s wall, {cpu:.2f} s CPU ({stages}); {SECONDS / wall:.1f}x real time"
    )


if __name__ == "__main__":
    main()

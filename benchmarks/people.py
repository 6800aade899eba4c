"""Print the cost of synthetic people beside the prototype's: CPU seconds, one thread.

python -m benchmarks.people [--clips 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

from idvid.people import (
    build_person,
    render_clip,
    render_portrait,
    sample_person,
    sample_scene,
    trace_landmarks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 950_000
PROTOTYPE_CLIP_S = {1: 0.48, 2: 0.77, 3: 1.1}
PROTOTYPE_BUILD_S = "0.22-0.28"


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=5, help="clips per number of people")
    clips = parser.parse_args().clips
    people = [build_person(sample_person(FIRST + i)) for i in range(6)]
    render_clip(sample_scene(FIRST, 1, 2), people[:1])  # compile or load the kernels
    render_portrait(people[0], FIRST)
    print("| CPU seconds, median | now | prototype |")
    print("|---|---|---|")
    builds = [
        cpu_seconds(lambda i=i: build_person(sample_person(FIRST + 10 + i))) for i in range(8)
    ]
    print(f"| build a person | {statistics.median(builds):.2f} | {PROTOTYPE_BUILD_S} |")
    portraits = [cpu_seconds(lambda i=i: render_portrait(people[i], FIRST + i)) for i in range(6)]
    print(f"| portrait, 256 px | {statistics.median(portraits):.3f} | 0.055 |")
    for count, before in PROTOTYPE_CLIP_S.items():
        times, traces = [], []
        for k in range(clips):
            scene = sample_scene(FIRST + k, count, 24)
            cast = [people[(k + i) % 6] for i in range(count)]
            times.append(cpu_seconds(lambda s=scene, c=cast: render_clip(s, c)))
            traces.append(cpu_seconds(lambda s=scene, c=cast: trace_landmarks(s, c)))
        name = f"24 frames, 224x128, {count} people"
        print(f"| {name} | {statistics.median(times):.2f} | {before:.2f} |")
        print(f"| its landmarks only, ms a frame | {statistics.median(traces) / 24e-3:.3f} | - |")


if __name__ == "__main__":
    main()

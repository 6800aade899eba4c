"""How fast is the main job? Two people, 4 s at 12 fps, `locks`, on this machine.

    python -m benchmarks.speed [--seconds 4] [--steps 16]

Prints the seconds to the first pictures and to the whole clip, the split over stages and the peak
memory of the process. Models are loaded before the clock starts, as they are on the page.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import torch

from benchmarks.cast import PEOPLE_SEED, usable_photos
from idvid import runtime
from idvid.config import GenerationSettings
from idvid.faces.quality import check_references
from idvid.people import build_person, sample_person
from idvid.pipeline.generate import IdVidPipeline, load_pipeline
from idvid.types import Character, Scene, WindowDone

PEOPLE = {"ana": 950_000, "ben": 950_001}
STAGES = ("prepare", "plan", "condition", "decode")


def main() -> None:
    """Run the benchmark and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=GenerationSettings().num_steps)
    parser.add_argument("--guidance", type=float, default=GenerationSettings().guidance_scale)
    arguments = parser.parse_args()
    pipeline, (scene, references) = load_pipeline(), request(arguments.seconds)
    settings = GenerationSettings(
        num_steps=arguments.steps, guidance_scale=arguments.guidance, method="locks"
    )
    spent = timed(pipeline)
    for _ in pipeline.stream(scene, references, settings):  # warm-up: one step
        break
    spent.clear()
    first, whole = watch(pipeline, scene, references, settings)
    print(f"first pictures {first:.1f} s, whole {whole:.1f} s for {arguments.seconds:g} s of video")
    rest = whole - sum(spent.values())
    parts = ", ".join(f"{name} {value:.1f}" for name, value in spent.items())
    print(f"seconds per stage: {parts}, denoise {rest:.1f}")
    print(
        f"peak memory {runtime.peak_memory_bytes() / 2**30:.2f} GiB, {torch.get_num_threads()} threads"
    )


def request(seconds: float) -> tuple[Scene, tuple]:
    """The scene and its checked references."""
    characters = []
    for name, seed in PEOPLE.items():
        person = build_person(sample_person(seed))
        photos = usable_photos(person, seed - PEOPLE_SEED)
        characters.append(Character(name=name, photos=photos))
    prompt = "@ana is on the left, talking, and @ben is on the right, smiling"
    scene = Scene(prompt=prompt, characters=tuple(characters), seconds=seconds, seed=1)
    return scene, check_references(scene.characters).references


def timed(pipeline: IdVidPipeline) -> dict[str, float]:
    """Add up the wall seconds of the pipeline's stages."""
    spent: dict[str, float] = defaultdict(float)

    def wrap(name: str) -> None:
        inner = getattr(pipeline, name)

        def outer(*args: object) -> object:
            start = time.monotonic()
            result = inner(*args)
            spent[name] += time.monotonic() - start
            return result

        object.__setattr__(pipeline, name, outer)

    for stage in STAGES:
        wrap(stage)
    return spent


def watch(
    pipeline: IdVidPipeline, scene: Scene, references: tuple, settings: GenerationSettings
) -> tuple[float, float]:
    """Seconds to the first finished window and to the last."""
    start, first = time.monotonic(), None
    for event in pipeline.stream(scene, references, settings):
        if first is None and isinstance(event, WindowDone):
            first = time.monotonic() - start
    assert first is not None
    return first, time.monotonic() - start


if __name__ == "__main__":
    main()

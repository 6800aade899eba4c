"""Does the bundled model keep faces? 24 unseen test people in 12 two-person scenes, by the judge.

    python -m benchmarks.quality --out runs/quality [--seconds 4] [--scenes 12] [--steps 16]

Prints presence, likeness and how often a generated face is nearest to its own person among the 24,
for each method, and writes `quality.json` and a contact sheet. Nobody here was trained on
(test seeds), and the judge took no part in training. A face belongs to the character on its side
of the picture; which side is whose is one choice per clip, the likelier one.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.cast import NUM_PEOPLE, PEOPLE_SEED, usable_photos
from idvid.config import GenerationSettings
from idvid.faces.assign import similarity_to_galleries
from idvid.faces.embed import load_judge
from idvid.faces.quality import check_references
from idvid.faces.track import find_people
from idvid.media.image import write_png
from idvid.metrics.report import measure_clip
from idvid.people import build_person, sample_person, sample_scene
from idvid.people.captions import caption
from idvid.pipeline.generate import load_pipeline
from idvid.types import Character, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.faces.quality import ReferenceFace
    from idvid.pipeline.generate import IdVidPipeline
    from idvid.types import Clip, DriftReport

SCENE_SEED = 955_000
NAMES = ("ana", "ben")
EVERY = 4  # faces of every fourth frame are compared with all 24 people
METHODS = ("none", "context", "locks")


def cast() -> list:
    """The test people: (character with rendered photos, spec). No descriptions: photos must do."""
    people = []
    for index in range(NUM_PEOPLE):
        spec = sample_person(PEOPLE_SEED + index)
        person = build_person(spec)
        photos = usable_photos(person, index)
        people.append((Character(name=NAMES[index % 2], photos=photos), spec))
    return people


def scene_of(people: list, number: int, seconds: float) -> Scene:
    """Scene `number`: people 2n and 2n + 1, a caption of the training kind."""
    pair = people[2 * number : 2 * number + 2]
    seed = SCENE_SEED + number
    prompt = caption(sample_scene(seed, 2), [spec for _, spec in pair], list(NAMES), seed)
    characters = tuple(character for character, _ in pair)
    return Scene(prompt=prompt, characters=characters, seconds=seconds, seed=number)


def nearest_own(
    clip: Clip, galleries: Sequence[NDArray[np.float32]], own: tuple[int, int]
) -> tuple[int, int]:
    """How many faces are nearest to their own person among all galleries, and of how many."""
    judge, width = load_judge(), clip.frames.shape[2]
    sides: list[tuple[int, NDArray[np.float64]]] = []
    for faces in find_people(clip.frames[::EVERY], judge):
        middles = [float(face.face.box[[0, 2]].mean()) for face in faces]
        order = np.argsort(middles)
        for rank, index in enumerate(order):
            side = rank if len(faces) == 2 else int(middles[index] > width / 2)
            row = similarity_to_galleries(faces[index].embedding[None], galleries)[0]
            sides.append((min(side, 1), row))
    straight = sum(row[own[side]] for side, row in sides)
    crossed = sum(row[own[1 - side]] for side, row in sides)
    owners = own if straight >= crossed else own[::-1]
    return sum(int(row.argmax() == owners[side]) for side, row in sides), len(sides)


def run(pipeline: IdVidPipeline, method: str, arguments: argparse.Namespace) -> dict:
    """All scenes of one method."""
    people = cast()
    checked = check_references(tuple(character for character, _ in people))
    judge = load_judge()
    galleries = [_gallery(judge, faces) for faces in checked.references]
    settings = GenerationSettings(
        method=method,
        num_steps=arguments.steps,
        guidance_scale=arguments.guidance,
        identity_strength=arguments.strength,
    )
    reports: list[DriftReport] = []
    hits, faces, spent, sheet = 0, 0, 0.0, []
    for number in range(arguments.scenes):
        scene = scene_of(people, number, arguments.seconds)
        own = (2 * number, 2 * number + 1)
        references = tuple(checked.references[index] for index in own)
        start = time.monotonic()
        clip = pipeline(scene, references, settings)
        spent += time.monotonic() - start
        named = dict(zip(NAMES, references, strict=True))
        reports.append(measure_clip(clip, named))
        found = nearest_own(clip, galleries, own)
        hits, faces = hits + found[0], faces + found[1]
        sheet.append(_row(scene, clip))
    write_png(np.concatenate(sheet), arguments.out / f"{method}.png")
    return _summary(reports, hits, faces, spent)


def _gallery(judge: object, faces: Sequence[ReferenceFace]) -> NDArray[np.float32]:
    return judge.embed([f.image for f in faces], [f.face for f in faces])


def _row(scene: Scene, clip: Clip) -> NDArray[np.uint8]:
    """Photos of both people, then five frames of the clip."""
    photos = [character.photos[0][::2, ::2] for character in scene.characters]
    picked = np.linspace(0, len(clip.frames) - 1, 5).round().astype(int)
    return np.concatenate([*photos, *clip.frames[picked]], axis=1)


def _summary(reports: list[DriftReport], hits: int, faces: int, spent: float) -> dict:
    drifts = [character for report in reports for character in report.characters]

    def mean(name: str) -> float | None:
        values = [getattr(d, name) for d in drifts if getattr(d, name) is not None]
        return round(float(np.mean(values)), 3) if values else None

    fields = ("presence", "id_sim_mean", "drift_15", "swap_rate", "bleed", "expression_range")
    summary = {name: mean(name) for name in (*fields, "ceiling", "floor")}
    seconds = sum(report.frames / report.fps for report in reports)
    nearest = round(hits / faces, 3) if faces else None
    return summary | {"nearest_own": nearest, "faces": faces, "s_per_s": round(spent / seconds, 1)}


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", help="a model folder; default: the bundled model")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--scenes", type=int, default=NUM_PEOPLE // 2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=GenerationSettings().num_steps)
    parser.add_argument("--guidance", type=float, default=GenerationSettings().guidance_scale)
    parser.add_argument("--strength", type=float, default=GenerationSettings().identity_strength)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline(arguments.model)
    results = {method: run(pipeline, method, arguments) for method in arguments.methods}
    (arguments.out / "quality.json").write_text(json.dumps(results, indent=2) + "\n")
    names = list(next(iter(results.values())))
    print("| method | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for method, values in results.items():
        print(f"| {method} | " + " | ".join(str(values[name]) for name in names) + " |")


if __name__ == "__main__":
    main()

"""What probes learn from: real renders of training people, with their true landmarks and classes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.bench import crops
from idvid.bench.attributes import asked_of_person, asked_of_scene
from idvid.people import build_person, render_clip, sample_person, sample_scene, trace_landmarks
from idvid.people.motion import ACTIONS, EXPRESSIONS
from idvid.people.spec import CLOTH_COLOURS, HAIR_COLOURS
from idvid.pipeline.windows import FPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people import Person

PEOPLE, PICTURES, TALKS, TRACES = 160, 1500, 240, 1400
TALK_FRAMES = 10
JITTER_PX = 0.5  # of detected landmarks, against the true ones


@dataclass(slots=True)
class Lessons:
    """Examples per attribute: features and classes."""

    features: dict[str, list[NDArray[np.float32]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    labels: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, attribute: str, features: NDArray[np.float32], label: str | None) -> None:
        """One more example, unless the attribute does not apply."""
        if label is not None:
            self.features[attribute].append(features)
            self.labels[attribute].append(label)


def render_lessons(num_frames: int, scale: float = 1.0) -> Lessons:
    """Render examples of everything (about three minutes of CPU at scale 1).

    Args:
        num_frames: of the clips that will be read: how long a head is watched.
        scale: share of the usual number of examples.
    """
    lessons = Lessons()
    # A stream for each kind, so that more lessons of one leave the others as they were.
    pictures, talks, traces = (np.random.default_rng([0, kind]) for kind in range(3))
    people = [build_person(sample_person(seed)) for seed in range(max(3, round(PEOPLE * scale)))]
    for number in range(round(PICTURES * scale)):
        _picture(lessons, pictures, people, number)
    for number in range(round(TALKS * scale)):
        _talk(lessons, talks, people, number)
    for number in range(round(TRACES * scale)):
        _trace(lessons, traces, people, (number, num_frames))
    return lessons


def repainted(person: Person, rng: Generator) -> Person:
    """The same person with other colours of hair and clothes, which costs nothing to build."""
    spec = person.spec
    hair, cloth = _pick(rng, tuple(HAIR_COLOURS)), _pick(rng, tuple(CLOTH_COLOURS))
    look = person.look._replace(
        hair=_scaled(HAIR_COLOURS[hair], spec.hair.brightness),
        cloth=_scaled(CLOTH_COLOURS[cloth], spec.clothes.shade),
    )
    changed = replace(
        spec, hair=replace(spec.hair, colour=hair), clothes=replace(spec.clothes, colour=cloth)
    )
    return replace(person, spec=changed, look=look)


def _picture(lessons: Lessons, rng: Generator, people: Sequence[Person], number: int) -> None:
    """One frame with two or three people: looks, expression, light, place."""
    scene = sample_scene(number, 2 + number % 2, 1, FPS)
    actors = tuple(
        replace(actor, action="still", expression_start=_pick(rng, tuple(EXPRESSIONS)))
        for actor in scene.actors
    )
    scene = replace(scene, actors=actors)
    cast = [repainted(person, rng) for person in _draw(rng, people, len(actors))]
    clip = render_clip(scene, cast)
    for position, person in enumerate(cast):
        if not clip.visible[position, 0]:
            continue
        seen = ([clip.frames[0]], [_jittered(rng, clip.landmarks[position, 0])])
        asked = asked_of_person(person.spec, scene, position)
        lessons.add("expression", crops.face_features(*seen)[0], asked["expression"])
        head = crops.head_features(*seen)[0]
        lessons.add("hair colour", head, asked["hair colour"])
        lessons.add("hair style", head, asked["hair style"])
        lessons.add("clothes colour", crops.chest_features(*seen)[0], asked["clothes colour"])
    place = crops.scene_features(list(clip.frames))[0]
    for attribute, label in asked_of_scene(scene).items():
        lessons.add(attribute, place, label)


def _talk(lessons: Lessons, rng: Generator, people: Sequence[Person], number: int) -> None:
    """A short clip in which half of the people speak."""
    scene = sample_scene(number, 2, TALK_FRAMES, FPS)
    silent = tuple(action for action in ACTIONS if action not in ("talking", "laughing"))
    actors = tuple(
        replace(
            actor,
            action=_pick(rng, ("talking", "talking", "laughing") if rng.random() < 0.5 else silent),
            action_start_s=-1.0,
        )
        for actor in scene.actors
    )
    scene = replace(scene, actors=actors)
    cast = _draw(rng, people, len(actors))
    clip = render_clip(scene, cast)
    for position, person in enumerate(cast):
        points = [_jittered(rng, p) for p in clip.landmarks[position]]
        label = asked_of_person(person.spec, scene, position)["speech"]
        lessons.add("speech", crops.mouth_features(list(clip.frames), points), label)


def _trace(
    lessons: Lessons, rng: Generator, people: Sequence[Person], place: tuple[int, int]
) -> None:
    """The landmarks of a scene of (seed, frames), which need no rendering."""
    seed, num_frames = place
    scene = sample_scene(seed, 2, num_frames, FPS)
    actors = tuple(replace(actor, action=_pick(rng, ACTIONS)) for actor in scene.actors)
    scene = replace(scene, actors=actors)
    cast = _draw(rng, people, 2)
    for position, track in enumerate(trace_landmarks(scene, cast)):
        label = asked_of_person(cast[position].spec, scene, position)["head"]
        lessons.add("head", crops.motion_features(_jittered(rng, track)), label)


def _jittered(rng: Generator, points: NDArray[np.floating]) -> NDArray[np.float32]:
    return (points + rng.normal(0, JITTER_PX, points.shape)).astype(np.float32)


def _draw(rng: Generator, people: Sequence[Person], count: int) -> list[Person]:
    return [people[i] for i in rng.choice(len(people), count, replace=False)]


def _pick(rng: Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _scaled(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)

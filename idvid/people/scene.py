"""A scene graph from a seed: who stands where, what they do, light, place and camera drift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.errors import InputError
from idvid.people.background import BackgroundSpec, sample_background
from idvid.people.events import STILL, CameraPlan, ForegroundSpec, no_events, sample_events
from idvid.people.light import LIGHT_KINDS, LightSpec, sample_light
from idvid.people.motion import ACTION_ODDS, ACTIONS, ActorSpec
from idvid.people.seeds import stream
from idvid.people.waves import Wave, sample_wave

if TYPE_CHECKING:
    from numpy.random import Generator

MAX_PEOPLE = 4
PEOPLE_ODDS = (0.3, 0.45, 0.25)  # of 1, 2 and 3; four only stand together where asked for
PLACES = {
    1: ("middle",),
    2: ("left", "right"),
    3: ("left", "middle", "right"),
    4: ("left", "middle_left", "middle_right", "right"),
}
OUTDOORS = ("field", "sea", "trees")
FIRST_EXPRESSIONS = ("neutral", "smiling", "frowning", "surprised", "sad", "grinning")
FIRST_ODDS = (0.30, 0.28, 0.10, 0.10, 0.08, 0.14)
SPREAD = {1: 0.0, 2: 1.42, 3: 2.36, 4: 2.95}  # decimetres from the middle to the outer people
ASPECT = 1.75  # of the picture that people come into
BACK_ROW_HEIGHT = 0.42  # decimetres by which the back row of four looks over the front row
FACES_SPAN = {1: 2.8, 2: 3.45, 3: 4.35, 4: 4.9}  # decimetres of the picture's height


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """Everything about a clip but who the people are."""

    seed: int
    num_frames: int
    fps: float
    light: LightSpec
    background: BackgroundSpec
    span: float  # decimetres that the picture is high, at the people's distance
    pan: tuple[Wave, Wave]  # drift of the background, pixels of a 128 px high picture
    actors: tuple[ActorSpec, ...]  # 1..4, from left to right
    camera: CameraPlan = STILL
    foreground: ForegroundSpec | None = None

    @property
    def duration_s(self) -> float:
        """Length of the clip."""
        return self.num_frames / self.fps


def sample_scene(
    seed: int,
    num_people: int | None = None,
    num_frames: int = 16,
    fps: float = 12.0,
    *,
    eventful: bool = False,
) -> SceneSpec:
    """The scene of a seed; the number of people is drawn when it is not given.

    In an `eventful` scene people may come, go and pass each other, things may stand in front of
    them, and the camera may move and cut; who they are, place, light and acting stay the same.

    Raises:
        SeedError: a seed outside 0..999,999.
        InputError: a number of people other than 1 to 4.
    """
    rng = stream(seed, 100)
    drawn = 1 + int(rng.choice(len(PEOPLE_ODDS), p=PEOPLE_ODDS))
    count = drawn if num_people is None else num_people
    if not 1 <= count <= MAX_PEOPLE:
        raise InputError(f"A scene shows 1 to {MAX_PEOPLE} people, not {count}; choose fewer.")
    background = sample_background(stream(seed, 101))
    span = FACES_SPAN[count] * float(rng.uniform(0.97, 1.04))
    actors = _sample_actors(seed, count, num_frames / fps)
    events = no_events(count)
    if eventful:
        events = sample_events(stream(seed, 105), [actor.x for actor in actors], span * ASPECT / 2)
    return SceneSpec(
        seed=seed,
        num_frames=num_frames,
        fps=fps,
        light=sample_light(stream(seed, 102), fitting_lights(background.kind)),
        background=background,
        span=span,
        pan=(sample_wave(rng, 3.0), sample_wave(rng, 1.5)),
        actors=tuple(
            replace(actor, walk=walk) for actor, walk in zip(actors, events.walks, strict=True)
        ),
        camera=events.camera,
        foreground=events.foreground,
    )


def fitting_lights(background_kind: str) -> tuple[str, ...]:
    """Kinds of light that make sense in a place."""
    if background_kind == "street":
        return ("evening", "cool", "warm")
    if background_kind in OUTDOORS:
        return ("soft", "sunny", "cool", "warm", "evening")
    if background_kind == "window":
        return ("window", "soft", "cool", "warm")
    return tuple(kind for kind in LIGHT_KINDS if kind != "sunny")


def _sample_actors(seed: int, count: int, duration_s: float) -> tuple[ActorSpec, ...]:
    rng = stream(seed, 103)
    order = rng.permutation(count)  # who stands nearer
    if count == MAX_PEOPLE:  # every second one in a row behind, over the shoulders of the others
        order = np.array((0, 2, 0.6, 2.6)) + 0.2 * order
        order = order if rng.random() < 0.5 else order[::-1]
    actors = []
    for k, place in enumerate(PLACES[count]):
        middle = 0.0 if count == 1 else (k / (count - 1) * 2 - 1) * SPREAD[count]
        x = middle + rng.uniform(-0.25, 0.25) * (1.6 if count == 1 else 0.5)
        depth = (order[k] - (count - 1) / 2) * 0.42 + rng.uniform(-0.08, 0.08)
        behind = BACK_ROW_HEIGHT if count == MAX_PEOPLE and order[k] < 1.5 else 0.0
        spot = (x, behind, depth)
        actors.append(_sample_actor(stream(seed, 104, k), place, spot, duration_s))
    return tuple(actors)


def _sample_actor(
    rng: Generator, place: str, spot: tuple[float, float, float], duration_s: float
) -> ActorSpec:
    inwards = -np.sign(spot[0]) * min(1.0, abs(spot[0]))
    action = ACTIONS[int(rng.choice(len(ACTIONS), p=ACTION_ODDS))]
    calm = 0.4 if action == "still" else 1.0
    first = FIRST_EXPRESSIONS[int(rng.choice(len(FIRST_EXPRESSIONS), p=FIRST_ODDS))]
    second = FIRST_EXPRESSIONS[int(rng.choice(len(FIRST_EXPRESSIONS), p=FIRST_ODDS))]
    start = float(rng.uniform(0.1, 0.4))
    amplitudes = (0.14, 0.06, 0.05, 0.05, 0.08, 0.04, 0.06, 0.03)
    return ActorSpec(
        place=place,
        x=float(spot[0]),
        y=float(spot[1] + rng.normal(0, 0.05)),
        depth=float(spot[2]),
        head=(
            float(np.clip(rng.normal(0.10 * inwards, 0.16), -0.4, 0.4)),
            float(rng.normal(0, 0.05)),
            float(rng.normal(0, 0.04)),
        ),
        body_yaw=float(rng.uniform(-0.2, 0.2)),
        idle=tuple(sample_wave(rng, calm * amplitude) for amplitude in amplitudes),
        expression_start=first,
        expression_end=first if rng.random() < 0.6 else second,
        expression_strength=float(rng.uniform(0.65, 1.0)),
        change=(start, start + float(rng.uniform(0.25, 0.5))),
        action=action,
        action_start_s=float(rng.uniform(-0.1, 0.2) * duration_s),
        action_hertz=float(rng.uniform(1.1, 1.7)),
        action_strength=float(rng.uniform(0.85, 1.1)),
        mumble=sample_wave(rng, 0.4, (0.8, 2.2)),
        blinks_s=_sample_blinks(rng, action, duration_s),
    )


def _sample_blinks(rng: Generator, action: str, duration_s: float) -> tuple[float, ...]:
    pause = (0.35, 0.7) if action == "blinking" else (1.8, 4.5)
    moment = rng.uniform(0.1, pause[1])
    blinks = []
    while moment < duration_s:
        blinks.append(float(moment))
        moment += rng.uniform(*pause)
    return tuple(blinks)

"""A photo of one person: the reference pictures of examples, tests and training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.anatomy import Motion, expression_names
from idvid.people.background import BackgroundSpec, paint_background, sample_background
from idvid.people.light import make_rig, sample_light
from idvid.people.motion import EXPRESSIONS
from idvid.people.render import Stage, View, frames_of, landmarks_px, look_at
from idvid.people.scene import fitting_lights
from idvid.people.seeds import stream

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people.person import Person

DISTANCE, SPAN = 11.0, 4.0  # decimetres
SHADOW_RESOLUTION = 176
EXPRESSION_ODDS = {
    "neutral": 0.28,
    "smiling": 0.28,
    "grinning": 0.16,
    "frowning": 0.08,
    "surprised": 0.1,
    "sad": 0.1,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Portrait:
    """A picture of one person."""

    image: NDArray[np.uint8]  # (S, S, 3) RGB
    landmarks: NDArray[np.float32]  # (5, 2) px, dlib's order
    face_mask: NDArray[np.bool_]  # (S, S) face, eyes, mouth, beard, glasses
    matte: NDArray[np.float32]  # (S, S) 0..1 share of the pixel that shows the person


def render_portrait(
    person: Person,
    seed: int,
    size_px: int = 256,
    *,
    neutral: bool = False,
    varied: bool = False,
) -> Portrait:
    """A portrait whose light, pose, expression and place follow from the seed.

    Args:
        person: who.
        seed: 0..999,999.
        size_px: side of the picture.
        varied: further from a good portrait: turned more, nearer or further away, in any light.
        neutral: frontal, without expression, in soft light before a grey wall.

    Raises:
        SeedError: a seed outside its range.
    """
    rng = stream(seed, 200)
    motion = _still() if neutral else _casual(rng)
    distance_factor = _vary(stream(seed, 202), motion) if varied else 1.0
    motion.position[:, 1] -= person.body.joints["head"][1]
    top = max(person.top + 0.2, 1.6)
    span = max(SPAN, top + 1.9) * distance_factor
    target = (0.0, top - span / 2, 0.3)
    focal = size_px * DISTANCE / span
    camera = look_at((0, target[1] + 0.15, DISTANCE), target, focal, (size_px, size_px))
    background, light = _setting(stream(seed, 201), neutral, varied)
    stage = Stage(
        rig=make_rig(light, [person.tone], camera.eye),
        shadow_resolution=SHADOW_RESOLUTION,
    )
    backdrop = paint_background(background, light, size_px + 2, size_px + 2)
    view = View(camera, backdrop, (0.0, 0.0), 1.0)
    frame = frames_of([person], [motion], stage, [view])[0]
    return Portrait(
        image=frame.image,
        landmarks=landmarks_px(person, motion, [camera])[0],
        face_mask=frame.face > 0,
        matte=frame.covered,
    )


def _setting(rng: Generator, neutral: bool, varied: bool) -> tuple:
    if neutral:
        background = BackgroundSpec(kind="wall", colour="grey", blur=0.02, seed=1)
        return background, sample_light(np.random.default_rng(0), ("soft",))
    background = sample_background(rng)
    if varied:
        light = sample_light(rng)
        return background, replace(
            light, brightness=light.brightness * float(rng.uniform(0.6, 1.1))
        )
    return background, sample_light(rng, fitting_lights(background.kind))


def _vary(rng: Generator, motion: Motion) -> float:
    """Turn somebody further aside, in place; how many times as much the photo shows."""
    motion.head[0] += rng.uniform((-0.32, -0.16, -0.16), (0.32, 0.16, 0.16))
    motion.body_yaw[0] += rng.uniform(-0.4, 0.4)
    motion.expression[:] *= rng.uniform(0.8, 1.15)
    return float(rng.uniform(0.85, 1.35))


def _still() -> Motion:
    return Motion(
        expression=np.zeros((1, len(expression_names())), np.float32),
        head=np.zeros((1, 3)),
        body_yaw=np.zeros(1),
        gaze=np.zeros((1, 2)),
        position=np.zeros((1, 3)),
    )


def _casual(rng: Generator) -> Motion:
    motion = _still()
    names = tuple(EXPRESSION_ODDS)
    expression = names[int(rng.choice(len(names), p=tuple(EXPRESSION_ODDS.values())))]
    strength = rng.uniform(0.4, 1.0)
    for name, weight in EXPRESSIONS[expression].items():
        motion.expression[0, expression_names().index(name)] = weight * strength
    motion.head[0] = rng.uniform((-0.5, -0.18, -0.12), (0.5, 0.18, 0.12))
    motion.body_yaw[0] = rng.uniform(-0.25, 0.25)
    motion.gaze[0] = rng.uniform((-0.2, -0.1), (0.2, 0.1))
    return motion

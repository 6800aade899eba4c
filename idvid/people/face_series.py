"""One person in one light, posed and moved anew in every picture: what reenactment is learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.anatomy import Motion, expression_names
from idvid.people.assets import load_asset
from idvid.people.background import paint_background, sample_background
from idvid.people.light import make_rig, sample_light
from idvid.people.motion import EXPRESSIONS, expression_code
from idvid.people.portrait import DISTANCE, SHADOW_RESOLUTION
from idvid.people.render import Stage, View, frames_of, landmarks_px, look_at
from idvid.people.seeds import stream

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people.person import Person

SPAN, LOWER = 4.8, 0.15  # decimetres: of the picture, and of its middle below the eyes and nose
_SPEAKING, _BLINKING = 0.3, 0.2  # shares of the pictures
_BLEND = 0.4  # of the pictures, between two expressions
_HEAD = (0.75, 0.35, 0.2)  # most yaw, pitch, roll
_BODY = 0.2  # most yaw of a body
_ALONG = 0.35  # of the head's yaw, by which the body turns along
_GAZE = (0.35, 0.24)  # most to the right, up


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceSeries:
    """Pictures of one head."""

    frames: NDArray[np.uint8]  # (N, S, S, 3) RGB
    mattes: NDArray[np.float32]  # (N, S, S) 0..1 share of the pixel that shows the person
    landmarks: NDArray[np.float32]  # (N, 5, 2) px, dlib's order
    expression: NDArray[np.float32]  # (N, len(EXPRESSION)); see `motion.expression_code`


def render_face_series(person: Person, seed: int, count: int, size_px: int = 128) -> FaceSeries:
    """`count` pictures in the same place and light; poses and expressions follow from the seed.

    Args:
        person: who.
        seed: 0..999,999.
        count: pictures.
        size_px: side of a picture, from above the hair to the shoulders.

    Raises:
        SeedError: a seed outside its range.
    """
    motion = _moves(stream(seed, 210), count)
    face = person.body.vertices[load_asset().landmarks].mean(0)
    motion.position[:, 1] -= face[1]
    middle = -LOWER
    focal = size_px * DISTANCE / SPAN
    camera = look_at((0, middle, DISTANCE), (0, middle, 0.3), focal, (size_px, size_px))
    setting = stream(seed, 211)
    background, light = sample_background(setting), sample_light(setting)
    stage = Stage(
        rig=make_rig(light, [person.tone], camera.eye), shadow_resolution=SHADOW_RESOLUTION
    )
    backdrop = paint_background(background, light, size_px + 2, size_px + 2)
    views = [View(camera, backdrop, (0.0, 0.0), 1.0)] * count
    frames = frames_of([person], [motion], stage, views)
    return FaceSeries(
        frames=np.stack([frame.image for frame in frames]),
        mattes=np.stack([frame.covered for frame in frames]),
        landmarks=landmarks_px(person, motion, [camera] * count),
        expression=expression_code(motion),
    )


def _moves(rng: Generator, count: int) -> Motion:
    names = expression_names()
    expression = np.zeros((count, len(names)), np.float32)
    for row in expression:
        for name, weight in _mixed(rng).items():
            row[names.index(name)] = weight
    limits = np.array(_HEAD)
    head = rng.uniform(-limits, limits, (count, 3))
    return Motion(
        expression=expression,
        head=head,
        body_yaw=rng.uniform(-_BODY, _BODY) + _ALONG * head[:, 0],
        gaze=rng.uniform(-np.array(_GAZE), _GAZE, (count, 2)),
        position=np.zeros((count, 3)),
    )


def _mixed(rng: Generator) -> dict[str, float]:
    """Weights of facial targets: an expression or two, and often speech or a blink on top."""
    kinds = list(EXPRESSIONS)
    share = rng.uniform(0, 1) if rng.random() < _BLEND else 1.0
    weights: dict[str, float] = {}
    for kind, part in (
        (kinds[rng.integers(len(kinds))], share),
        (kinds[rng.integers(len(kinds))], 1 - share),
    ):
        strength = part * rng.uniform(0.5, 1.1)
        for name, weight in EXPRESSIONS[kind].items():
            weights[name] = weights.get(name, 0.0) + strength * weight
    if rng.random() < _SPEAKING:
        opening = rng.uniform(0, 1)
        weights["jawOpen"] = 0.4 * weights.get("jawOpen", 0.0) + 0.42 * opening
        weights["mouthFunnel"] = 0.45 * rng.uniform(0, 1) * opening
    if rng.random() < _BLINKING:
        closed = rng.uniform(0.3, 1)
        for side in ("Left", "Right"):
            weights["eyeBlink" + side] = closed
            weights["eyeWide" + side] = weights.get("eyeWide" + side, 0.0) * (1 - closed)
    return weights

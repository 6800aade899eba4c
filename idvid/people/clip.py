"""A clip of a scene with given people: frames, exact masks and landmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.errors import InputError
from idvid.people.background import paint_background
from idvid.people.camera import DISTANCE, Shooting, shoot
from idvid.people.foreground import cover, paint_foreground
from idvid.people.light import make_rig
from idvid.people.motion import expression_code, perform
from idvid.people.render import Stage, View, frames_of, landmarks_px

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.people.anatomy import Motion
    from idvid.people.person import Figure, Person
    from idvid.people.render import Frame
    from idvid.people.scene import SceneSpec

HEADROOM = 0.16  # decimetres above the hair
TALL = 1.62  # a higher top of the hair lowers its owner, so that heads stay level
SHADOW_RESOLUTION = 128
NEARER = 1.5  # how much faster than people a thing in the foreground passes a moving camera
MIN_VISIBLE_POINTS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleClip:
    """A rendered scene; person k of n is number k + 1 in the masks."""

    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    face_mask: NDArray[np.uint8]  # (T, H, W) 0 none, 1..n face of a person
    owner: NDArray[np.uint8]  # (T, H, W) 0 none, 1..n any pixel of a person
    landmarks: NDArray[np.float32]  # (n, T, 5, 2) px, dlib's order
    visible: NDArray[np.bool_]  # (n, T) most landmarks are in the picture and not hidden
    yaw: NDArray[np.float32]  # (n, T) radians, positive to the picture's right


def render_clip(
    scene: SceneSpec, persons: Sequence[Person], width_px: int = 224, height_px: int = 128
) -> PeopleClip:
    """Render a scene; persons stand from left to right in the given order.

    Raises:
        InputError: as many persons as the scene has places are needed.
    """
    motions, shooting = _stage(scene, persons, width_px, height_px)
    rig = make_rig(scene.light, [person.tone for person in persons], shooting.cameras[0].eye)
    stage = Stage(rig=rig, shadow_resolution=SHADOW_RESOLUTION)
    frames = frames_of(persons, motions, stage, _views(scene, shooting))
    if scene.foreground is not None:
        frames = _covered(scene, shooting, frames)
    owner = np.stack([frame.owner for frame in frames])
    landmarks = np.stack(
        [landmarks_px(p, m, shooting.cameras) for p, m in zip(persons, motions, strict=True)]
    )
    return PeopleClip(
        frames=np.stack([frame.image for frame in frames]),
        face_mask=np.stack([frame.face for frame in frames]),
        owner=owner,
        landmarks=landmarks,
        visible=_visible(landmarks, owner),
        yaw=np.stack([motion.head[:, 0] - shooting.turn for motion in motions]).astype(np.float32),
    )


def trace_landmarks(
    scene: SceneSpec, persons: Sequence[Figure], width_px: int = 224, height_px: int = 128
) -> NDArray[np.float32]:
    """The landmarks (n, T, 5, 2) that `render_clip` would give, without rendering."""
    motions, shooting = _stage(scene, persons, width_px, height_px)
    return np.stack(
        [landmarks_px(p, m, shooting.cameras) for p, m in zip(persons, motions, strict=True)]
    )


def trace_expressions(scene: SceneSpec) -> NDArray[np.float32]:
    """What the faces do (n, T, len(EXPRESSION)), whoever plays; see `motion.expression_code`."""
    times = _times(scene)
    acted = (perform(actor, times, scene.duration_s) for actor in scene.actors)
    return np.stack([expression_code(motion) for motion in acted])


def _times(scene: SceneSpec) -> NDArray[np.float64]:
    return np.arange(scene.num_frames) / scene.fps


def _stage(
    scene: SceneSpec, persons: Sequence[Figure], width_px: int, height_px: int
) -> tuple[list[Motion], Shooting]:
    """Motions with heads at their places, and how they are filmed."""
    if len(persons) != len(scene.actors):
        raise InputError(
            f"The scene has {len(scene.actors)} places but {len(persons)} people were given; "
            "give one person per place."
        )
    times = _times(scene)
    motions, tops = [], []
    for actor, person in zip(scene.actors, persons, strict=True):
        motion = perform(actor, times, scene.duration_s)
        lowered = 0.75 * max(0.0, person.top - TALL)
        motion.position[:, 1] -= person.body.joints["head"][1] + lowered
        motions.append(motion)
        tops.append(actor.y + person.top - lowered + HEADROOM)
    drift = np.stack([wave.at(times) * height_px / 128 for wave in scene.pan], 1)
    framing = (scene.span, tops, [actor.x for actor in scene.actors])
    timing, size = (times, scene.duration_s), (width_px, height_px)
    return motions, shoot(scene.camera, drift, framing, timing, size)


def _views(scene: SceneSpec, shooting: Shooting) -> list[View]:
    """What each frame is seen by; another side of the people has another part of the place."""
    size = shooting.background_size
    backgrounds = [paint_background(scene.background, scene.light, *size)]
    cut = scene.camera.cut
    if cut is not None and cut.view == "side":
        other = replace(scene.background, seed=scene.background.seed + 1)
        backgrounds.append(paint_background(other, scene.light, *size))
    return [
        View(camera, backgrounds[late * (len(backgrounds) - 1)], (float(x), float(y)), float(step))
        for camera, (x, y), step, late in zip(
            shooting.cameras,
            shooting.corners,
            shooting.steps,
            shooting.is_after_cut,
            strict=True,
        )
    ]


def _covered(scene: SceneSpec, shooting: Shooting, frames: list[Frame]) -> list[Frame]:
    """The frames with the thing in the foreground before them."""
    thing = scene.foreground
    if thing is None:
        return frames
    height, width = frames[0].owner.shape
    camera = shooting.cameras[0]
    layer = paint_foreground(thing, scene.light, height)
    x = width / 2 + thing.x * camera.focal_px / DISTANCE
    return [
        cover(frame, layer, (x - NEARER * right, -NEARER * down))
        for frame, (right, down) in zip(frames, shooting.aside_px, strict=True)
    ]


def _visible(landmarks: NDArray, owner: NDArray) -> NDArray[np.bool_]:
    """(n, T) whether most landmarks lie in the frame on pixels of their own person."""
    num_people, num_frames = landmarks.shape[:2]
    height, width = owner.shape[1:]
    x = np.floor(landmarks[..., 0]).astype(int)
    y = np.floor(landmarks[..., 1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    frame = np.arange(num_frames)[None, :, None]
    there = owner[frame, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    mine = inside & (there == np.arange(1, num_people + 1)[:, None, None])
    return mine.sum(-1) >= MIN_VISIBLE_POINTS

"""A clip of a scene with given people: frames, exact masks and landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.errors import InputError
from idvid.people.background import paint_background
from idvid.people.light import make_rig
from idvid.people.motion import perform
from idvid.people.render import Stage, frames_of, landmarks_px, look_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.people.anatomy import Motion
    from idvid.people.person import Person
    from idvid.people.render import Camera
    from idvid.people.scene import SceneSpec

DISTANCE = 14.0  # decimetres from the camera to the people
HEADROOM, CHIN = 0.16, -1.02  # decimetres above the hair; of the chin below the head joint
TALL = 1.62  # a higher top of the hair lowers its owner, so that heads stay level
SHADOW_RESOLUTION = 128
MARGIN = 6  # pixels of background around a 128 px high picture
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
    motions, camera = _stage(scene, persons, width_px, height_px)
    margin = round(MARGIN * height_px / 128)
    size = (height_px + 2 * margin + 1, width_px + 2 * margin + 1)
    stage = Stage(
        camera=camera,
        rig=make_rig(scene.light, [person.tone for person in persons], camera.eye),
        background=paint_background(scene.background, scene.light, *size),
        shadow_resolution=SHADOW_RESOLUTION,
    )
    scale = height_px / 128
    drift = np.stack([wave.at(_times(scene)) * scale for wave in scene.pan], 1)
    frames = frames_of(persons, motions, stage, np.clip(margin + drift, 0, 2 * margin))
    owner = np.stack([frame.owner for frame in frames])
    landmarks = np.stack(
        [landmarks_px(p, m, camera) for p, m in zip(persons, motions, strict=True)]
    )
    return PeopleClip(
        frames=np.stack([frame.image for frame in frames]),
        face_mask=np.stack([frame.face for frame in frames]),
        owner=owner,
        landmarks=landmarks,
        visible=_visible(landmarks, owner),
        yaw=np.stack([motion.head[:, 0] for motion in motions]).astype(np.float32),
    )


def trace_landmarks(
    scene: SceneSpec, persons: Sequence[Person], width_px: int = 224, height_px: int = 128
) -> NDArray[np.float32]:
    """The landmarks (n, T, 5, 2) that `render_clip` would give, without rendering."""
    motions, camera = _stage(scene, persons, width_px, height_px)
    return np.stack([landmarks_px(p, m, camera) for p, m in zip(persons, motions, strict=True)])


def _times(scene: SceneSpec) -> NDArray[np.float64]:
    return np.arange(scene.num_frames) / scene.fps


def _stage(
    scene: SceneSpec, persons: Sequence[Person], width_px: int, height_px: int
) -> tuple[list[Motion], Camera]:
    """Motions with heads at their places, and a camera that cuts no head."""
    if len(persons) != len(scene.actors):
        raise InputError(
            f"The scene has {len(scene.actors)} places but {len(persons)} people were given; "
            "give one person per place."
        )
    motions, tops = [], []
    for actor, person in zip(scene.actors, persons, strict=True):
        motion = perform(actor, _times(scene), scene.duration_s)
        lowered = 0.75 * max(0.0, person.top - TALL)
        motion.position[:, 1] -= person.body.joints["head"][1] + lowered
        motions.append(motion)
        tops.append(actor.y + person.top - lowered + HEADROOM)
    span = max(scene.span, max(tops) - CHIN + 0.1)
    target_y = max(max(tops) - span / 2, 0.02)
    target_y = min(target_y, CHIN + span / 2 - 0.05)
    focal = height_px * DISTANCE / span
    camera = look_at((0, target_y + 0.3, DISTANCE), (0, target_y, 0), focal, (width_px, height_px))
    return motions, camera


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

"""One frame: pose, draw and light people before a background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.anatomy import Motion, bone_matrices, follow, move_by_bones, pose_landmarks
from idvid.people.assets import add_target, load_asset
from idvid.people.mesh import vertex_normals
from idvid.people.noise import allocating_kernel
from idvid.people.pixels import SAMPLES, Canvas, develop, paint_person
from idvid.people.raster import DepthMap, basis_of, depth_map, draw, empty_buffers
from idvid.people.shading import Painted, Posed, Rig
from idvid.people.surfaces import FACE_PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.people.person import Figure, Person

SHADOW_EXTENT = 4.8  # decimetres seen by a shadow map
CURVE_STEPS = 4096


class Camera(NamedTuple):
    """A pinhole camera; pixel centres are at half integers."""

    eye: NDArray[np.float32]  # (3,)
    basis: NDArray[np.float32]  # (3, 3) rows right, up, backwards
    focal_px: float
    width_px: int
    height_px: int


class Frame(NamedTuple):
    """One rendered frame."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    face: NDArray[np.uint8]  # (H, W) person 1..n where face, eyes, mouth, beard or glasses are
    owner: NDArray[np.uint8]  # (H, W) person 1..n
    covered: NDArray[np.float32]  # (H, W) 0..1 share of the pixel that shows people


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """What stays the same over a clip."""

    rig: Rig
    shadow_resolution: int


class View(NamedTuple):
    """What a frame is seen by and seen before."""

    camera: Camera
    background: NDArray[np.float32]  # (H + margin, W + margin, 3) linear light
    corner: tuple[float, float]  # px (x, y) of the picture's corner in the background
    step: float  # px of the background per px of the picture


def _srgb_curve() -> NDArray[np.uint8]:
    x = np.arange(CURVE_STEPS + 1) / CURVE_STEPS
    encoded = np.where(x < 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return np.clip(encoded * 255 + 0.5, 0, 255).astype(np.uint8)


SRGB = _srgb_curve()


def look_at(eye: Sequence[float], target: Sequence[float], focal_px: float, size: tuple) -> Camera:
    """A camera at `eye` that looks at `target`; size is (width, height) in pixels."""
    place = np.asarray(eye, np.float32)
    back = place - np.asarray(target, np.float32)
    basis = basis_of(back / np.linalg.norm(back))
    return Camera(place, basis, float(focal_px), size[0], size[1])


def landmarks_px(person: Figure, motion: Motion, cameras: Sequence[Camera]) -> NDArray[np.float32]:
    """The five landmarks (T, 5, 2) in pixels, without rendering; one camera per frame."""
    world = pose_landmarks(person.body, motion, load_asset())
    eyes = np.stack([camera.eye for camera in cameras]).astype(float)
    bases = np.stack([camera.basis for camera in cameras]).astype(float)
    focal = np.array([camera.focal_px for camera in cameras])
    seen = (world - eyes[:, None]) @ bases.transpose(0, 2, 1)
    scale = focal[:, None] / -seen[..., 2]
    x = cameras[0].width_px / 2 + seen[..., 0] * scale
    y = cameras[0].height_px / 2 - seen[..., 1] * scale
    return np.stack([x, y], -1).astype(np.float32)


@allocating_kernel
def _project(world: NDArray, camera: Camera) -> NDArray:
    out = np.empty(world.shape, np.float32)
    b, e = camera.basis, camera.eye
    focal = camera.focal_px * SAMPLES
    for i in range(world.shape[0]):
        x, y, z = world[i, 0] - e[0], world[i, 1] - e[1], world[i, 2] - e[2]
        near = -1.0 / (b[2, 0] * x + b[2, 1] * y + b[2, 2] * z)
        right = b[0, 0] * x + b[0, 1] * y + b[0, 2] * z
        up = b[1, 0] * x + b[1, 1] * y + b[1, 2] * z
        out[i, 0] = camera.width_px * SAMPLES * 0.5 + focal * right * near
        out[i, 1] = camera.height_px * SAMPLES * 0.5 - focal * up * near
        out[i, 2] = near
    return out


def pose_person(person: Person, motion: Motion, bones: NDArray, t: int, camera: Camera) -> Posed:
    """The person in frame t; `bones` (T, NUM_BONES + 1, 3, 4) belong to the motion."""
    mesh, asset = person.mesh, load_asset()
    vertices = mesh.vertices.copy()
    first = len(asset.target_index) - motion.expression.shape[1]
    for column in np.flatnonzero(np.abs(motion.expression[t]) > 1e-3):
        start, end = asset.target_starts[first + column], asset.target_starts[first + column + 1]
        deltas = asset.target_deltas[start:end]
        weight = float(motion.expression[t, column])
        add_target(vertices, asset.target_vertices[start:end], deltas, weight)
    follow(vertices, mesh.vertices, mesh.follows)
    world = np.empty_like(vertices)
    move_by_bones(vertices, mesh.weights, bones[t], world)
    normals = np.empty_like(world)
    vertex_normals(world, mesh.triangles, normals)
    turn = np.ascontiguousarray(bones[t, 0, :, :3], np.float32)
    normals[person.fixed] = mesh.fixed_normals[person.fixed] @ turn.T
    gaze = motion.gaze[t].astype(np.float32)
    tangents = mesh.tangents @ turn.T
    return Posed(_project(world, camera), world, normals, tangents, turn, gaze)


def render_frame(
    people: Sequence[Person], poses: Sequence[Posed], stage: Stage, view: View
) -> Frame:
    """Draw posed people."""
    camera, rig = view.camera, stage.rig._replace(eye=view.camera.eye)
    height, width = camera.height_px, camera.width_px
    seen = empty_buffers(height * SAMPLES, width * SAMPLES)
    first, starts = 0, []
    for person, posed in zip(people, poses, strict=True):
        draw(posed.screen, person.mesh, person.look.neckline, first, seen)
        starts.append(first)
        first += len(person.mesh.triangles)
    canvas = Canvas(
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.uint8),
        np.zeros((height, width), np.uint8),
    )
    for number, (person, posed) in enumerate(zip(people, poses, strict=True), start=1):
        shadow = _shadow(person, posed, stage)
        painted = Painted(
            person.mesh, posed, person.look, person.texture, shadow, starts[number - 1], number
        )
        paint_person(painted, rig, seen, canvas)
    image = np.empty((height, width, 3), np.uint8)
    develop(canvas, view.background, (*view.corner, view.step), SRGB, image)
    face = np.where(np.isin(canvas.part, FACE_PARTS), canvas.owner, 0).astype(np.uint8)
    return Frame(image, face, canvas.owner, canvas.covered)


def _shadow(person: Person, posed: Posed, stage: Stage) -> DepthMap:
    centre = posed.world[load_asset().landmarks].mean(0) - (0, 0.25, 0.9)
    view = (centre, SHADOW_EXTENT, stage.shadow_resolution)
    return depth_map(posed.world, person.mesh, person.casts, stage.rig.directions[0], view)[0]


def frames_of(
    people: Sequence[Person], motions: Sequence[Motion], stage: Stage, views: Sequence[View]
) -> list[Frame]:
    """Every frame of a clip, one per view."""
    bones = [bone_matrices(p.body.joints, m) for p, m in zip(people, motions, strict=True)]
    frames = []
    for t, view in enumerate(views):
        poses = [
            pose_person(p, m, b, t, view.camera)
            for p, m, b in zip(people, motions, bones, strict=True)
        ]
        frames.append(render_frame(people, poses, stage, view))
    return frames

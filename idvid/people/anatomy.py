"""The body at rest from a spec, and its pose: bones, expressions, the path of a vertex.

Owns where vertices are; knows no colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.assets import HeadAsset, add_target, load_asset
from idvid.people.mesh import NUM_BONES, SKIN, normals_of
from idvid.people.noise import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.spec import PersonSpec

BONE_SHARE = (1.0, 0.72, 0.45, 0.22)  # share of the head's turn in head and neck bones
ARM_DROP = 0.62  # radians from the base mesh's spread arms to hanging ones


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """A person's own head and shoulders at rest."""

    vertices: NDArray[np.float32]  # (V, 3)
    normals: NDArray[np.float32]  # (V, 3)
    joints: dict[str, NDArray[np.float64]]  # (3,) each
    eyes: NDArray[np.float32]  # (2, 3) centres of left and right eyeball
    eye_radius: float

    @property
    def head_shift(self) -> NDArray[np.float64]:
        """(3,) from the average head to this one."""
        average = load_asset()
        return self.joints["head"] - average.vertices[average.joints["head"]].mean(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """Pose of one person over T frames."""

    expression: NDArray[np.float32]  # (T, expressions) weights of the facial targets
    head: NDArray[np.float64]  # (T, 3) yaw to the picture's right, pitch down, roll
    body_yaw: NDArray[np.float64]  # (T,)
    gaze: NDArray[np.float64]  # (T, 2) right, up
    position: NDArray[np.float64]  # (T, 3) added to every vertex


def shape_body(spec: PersonSpec) -> Body:
    """The body of a spec: macro mix (sex, age, ancestry, build), then local sliders."""
    asset = load_asset()
    vertices = asset.vertices.copy()
    for name, weight in (*_macro_mix(spec).items(), *spec.shape):
        if weight > 1e-3 and name in asset.target_index:  # the average build has no target
            add_target(vertices, *asset.target(name), weight)
    eyes = np.stack([vertices[index].mean(0) for index in asset.eyes])
    radius = np.linalg.norm(vertices[asset.eyes[0]] - eyes[0], axis=1).mean()
    return Body(
        vertices=vertices,
        normals=normals_of(vertices, asset.triangles[asset.materials == SKIN]),
        joints={name: vertices[i].mean(0).astype(float) for name, i in asset.joints.items()},
        eyes=eyes,
        eye_radius=float(radius),
    )


def _macro_mix(spec: PersonSpec) -> dict[str, float]:
    sexes = {"male": spec.masculinity, "female": 1 - spec.masculinity}
    ages = {"young": 1 - spec.age, "old": spec.age}
    kinds = dict(zip(("caucasian", "african", "asian"), spec.ancestry, strict=True))
    mix = {f"{k}-{s}-{a}": kinds[k] * sexes[s] * ages[a] for k, s, a in product(kinds, sexes, ages)}
    muscle, weight = _three_way("muscle", spec.muscle), _three_way("weight", spec.weight)
    for s, a, m, w in product(sexes, ages, muscle, weight):
        mix[f"universal-{s}-{a}-{m}-{w}"] = sexes[s] * ages[a] * muscle[m] * weight[w]
    return mix


def _three_way(name: str, value: float) -> dict[str, float]:
    return {
        f"min{name}": max(0.0, 1 - 2 * value),
        f"average{name}": 1 - abs(2 * value - 1),
        f"max{name}": max(0.0, 2 * value - 1),
    }


@lru_cache(maxsize=1)
def expression_names() -> tuple[str, ...]:
    """Names of the facial targets, in the order of `Motion.expression`'s columns."""
    return tuple(name[2:] for name in load_asset().target_index if name.startswith("F:"))


@lru_cache(maxsize=1)
def landmark_displacements() -> NDArray[np.float32]:
    """(expressions, 5, 3) what each facial target does to the five landmark vertices."""
    asset = load_asset()
    out = np.zeros((len(expression_names()), 5, 3), np.float32)
    for row, name in enumerate(expression_names()):
        vertices, deltas = asset.target("F:" + name)
        for point, landmark in enumerate(asset.landmarks):
            out[row, point] = deltas[vertices == landmark].sum(0)
    return out


def rotation(yaw: NDArray, pitch: NDArray, roll: NDArray) -> NDArray[np.float64]:
    """Rotation matrices (T, 3, 3): roll, then pitch, then yaw."""
    one, zero = np.ones_like(yaw), np.zeros_like(yaw)

    def matrix(*rows: NDArray) -> NDArray:
        return np.stack(rows, -1).reshape(-1, 3, 3)

    c, s = np.cos(yaw), np.sin(yaw)
    around_y = matrix(c, zero, s, zero, one, zero, -s, zero, c)
    c, s = np.cos(pitch), np.sin(pitch)
    around_x = matrix(one, zero, zero, zero, c, -s, zero, s, c)
    c, s = np.cos(roll), np.sin(roll)
    around_z = matrix(c, -s, zero, s, c, zero, zero, zero, one)
    return around_y @ around_x @ around_z


def _about(turn: NDArray, pivot: NDArray) -> NDArray:
    """Affine matrices (T, 3, 4) that turn about a pivot (3,) or (T, 3)."""
    shift = pivot - (turn @ pivot[..., None])[..., 0]
    return np.concatenate([turn, shift[..., None]], -1)


def bone_matrices(joints: dict[str, NDArray], motion: Motion) -> NDArray[np.float64]:
    """Affine matrices (T, NUM_BONES + 1, 3, 4); the last moves what no bone moves."""
    neck, head = joints["neck"], joints["head"]
    turns = [rotation(*(motion.head * share).T) for share in BONE_SHARE]
    bones = [_about(turn, neck) for turn in turns]
    carried = (turns[2] @ (head - neck)) + neck  # the middle of the neck carries the head
    shift = carried - (turns[0] @ head)
    bones[0] = np.concatenate([turns[0], shift[..., None]], -1)
    num_frames = len(motion.head)
    for side, name in ((1.0, "l-shoulder"), (-1.0, "r-shoulder")):
        zero = np.zeros(num_frames)
        bones.append(_about(rotation(zero, zero, zero - side * ARM_DROP), joints[name]))
    still = np.zeros((num_frames, 3, 4))
    still[:, :, :3] = np.eye(3)
    stack = np.stack([*bones, still], 1)
    zero = np.zeros(num_frames)
    placed = rotation(motion.body_yaw, zero, zero)[:, None] @ stack
    placed[..., 3] += motion.position[:, None]
    return placed


def pose_landmarks(body: Body, motion: Motion, asset: HeadAsset) -> NDArray[np.float64]:
    """World positions (T, 5, 3) of the five landmarks, without posing the rest of the mesh."""
    rest = body.vertices[asset.landmarks]
    moved = rest + np.einsum("te,epk->tpk", motion.expression, landmark_displacements())
    weights = asset.weights[asset.landmarks]
    weights = np.concatenate([weights, 1 - weights.sum(1, keepdims=True)], 1)
    blend = np.einsum("pb,tbij->tpij", weights, bone_matrices(body.joints, motion))
    return (blend[..., :3] @ moved[..., None])[..., 0] + blend[..., 3]


@kernel
def follow(vertices: NDArray, rest: NDArray, follows: NDArray) -> None:
    """Give vertices that grow on the skin the skin's displacement by the expression."""
    for i in range(vertices.shape[0]):
        j = follows[i]
        if j >= 0:
            for k in range(3):
                vertices[i, k] += vertices[j, k] - rest[j, k]


@kernel
def move_by_bones(vertices: NDArray, weights: NDArray, bones: NDArray, out: NDArray) -> None:
    """Linear blend skinning of (V, 3) with bones (NUM_BONES + 1, 3, 4)."""
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        rest = 1.0
        ox = 0.0
        oy = 0.0
        oz = 0.0
        for k in range(NUM_BONES + 1):
            w = rest if k == NUM_BONES else weights[i, k]
            if abs(w) > 1e-4:
                rest -= w
                b = bones[k]
                ox += w * (b[0, 0] * x + b[0, 1] * y + b[0, 2] * z + b[0, 3])
                oy += w * (b[1, 0] * x + b[1, 1] * y + b[1, 2] * z + b[1, 3])
                oz += w * (b[2, 0] * x + b[2, 1] * y + b[2, 2] * z + b[2, 3])
        out[i, 0] = ox
        out[i, 1] = oy
        out[i, 2] = oz

"""Clothes and glasses."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.assets import EAR, load_asset
from idvid.people.clothes_shape import ROLL_NECK, collar_gap
from idvid.people.mesh import (
    CANON_X,
    CANON_Z,
    CLOTH,
    EDGE,
    FRAME,
    NUM_ATTRIBUTES,
    SKIN,
    Mesh,
    cut_triangles,
    make_part,
    unit,
)
from idvid.people.noise import smoothstep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.anatomy import Body
    from idvid.people.spec import ClothesSpec, GlassesSpec

RIM_SHAPES = {
    "round": (0.27, 0.25, 2.0),
    "rectangular": (0.31, 0.21, 4.0),
    "oval": (0.29, 0.24, 2.6),
    "square": (0.32, 0.20, 6.0),
}  # half width, half height, exponent of the superellipse
WIRE = {"round": 0.016, "rectangular": 0.03, "oval": 0.022, "square": 0.026}  # thickness
TUBE_SIDES = 6


@lru_cache(maxsize=8)
def cloth_gap(neckline: int) -> NDArray[np.float32]:
    """Signed distance of every base vertex into the garment, positive inside; not to be changed."""
    points = load_asset().vertices
    gap = np.array([collar_gap(neckline, *p) for p in points.astype(float)], np.float32)
    gap.flags.writeable = False
    return gap


def clothes_part(clothes: ClothesSpec, body: Body, gap: NDArray) -> Mesh:
    """A shell over the torso; its collar is cut per picture sample by `collar_gap`."""
    asset = load_asset()
    skin = asset.triangles[asset.materials == SKIN]
    low = asset.vertices[skin, 1].max(1) < 6.25
    triangles, source = cut_triangles(skin, (gap[skin].max(1) > -0.12) & low)
    depth = gap[source]
    rolled = clothes.neckline == ROLL_NECK
    offset = 0.05 + 0.05 * smoothstep(0.0, 0.25, depth)
    offset += 0.03 if rolled else 0.035 * np.exp(-(((depth - 0.05) / 0.06) ** 2))
    attributes = np.zeros((len(source), NUM_ATTRIBUTES), np.float32)
    attributes[:, CANON_X : CANON_Z + 1] = asset.vertices[source]
    attributes[:, EDGE] = depth
    return make_part(
        body.vertices[source] + body.normals[source] * offset[:, None],
        triangles,
        CLOTH,
        attributes,
        weights=asset.weights[source],
    )


def _tube(path: NDArray, radius: float, *, closed: bool) -> Mesh:
    """A wire along a path (N, 3)."""
    count = len(path)
    along = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    along = unit(along)
    up = np.array([0, 1.0, 0]) if np.abs(along[:, 2]).mean() > 0.7 else np.array([0, 0, 1.0])
    first = unit(np.cross(along, up))
    second = np.cross(along, first)
    angle = np.arange(TUBE_SIDES) * 2 * np.pi / TUBE_SIDES
    ring = first[:, None] * np.cos(angle)[:, None] + second[:, None] * np.sin(angle)[:, None]
    i, j = np.divmod(np.arange((count if closed else count - 1) * TUBE_SIDES), TUBE_SIDES)
    here, there = i * TUBE_SIDES, (i + 1) % count * TUBE_SIDES
    k = (j + 1) % TUBE_SIDES
    triangles = np.concatenate(
        [
            np.stack([here + j, here + k, there + j], 1),
            np.stack([here + k, there + k, there + j], 1),
        ]
    )
    points = (path[:, None] + radius * ring).reshape(-1, 3)
    return make_part(points, triangles, FRAME, fixed_normals=ring.reshape(-1, 3))


def glasses_parts(glasses: GlassesSpec, body: Body) -> list[Mesh]:
    """Two rims, two temples and a bridge, fitted to the eyes and the ears."""
    half_width, half_height, exponent = RIM_SHAPES[glasses.frame]
    wire, eyes = WIRE[glasses.frame], body.eyes.astype(float)
    front = eyes[:, 2].max() + body.eye_radius + 0.16
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    rim_x = half_width * np.sign(c) * np.abs(c) ** (2 / exponent)
    rim_y = half_height * np.sign(s) * np.abs(s) ** (2 / exponent)
    ears = np.abs(body.vertices[load_asset().masks[:, EAR] > 0.5, 0]).max() - 0.06
    parts = []
    for side, eye in ((1, eyes[0]), (-1, eyes[1])):
        x = eye[0] + side * 0.02
        rim = np.stack(
            [x + rim_x, eye[1] - 0.03 + rim_y, front - 0.10 * ((x + rim_x) / 0.6) ** 2], 1
        )
        steps = (
            np.linspace(x + side * half_width, side * ears, 7),
            np.linspace(front - 0.12, 0.15, 7),
        )
        temple = np.stack([steps[0], np.full(7, eye[1] + 0.06), steps[1]], 1)
        parts += [_tube(rim, wire, closed=True), _tube(temple, wire * 0.8, closed=False)]
    ends = (eyes[1, 0] - 0.02 + half_width, eyes[0, 0] + 0.02 - half_width)
    rise = eyes[0, 1] + 0.03 * np.sin(np.linspace(0, np.pi, 6))
    bridge = np.stack([np.linspace(*ends, 6), rise, np.full(6, front)], 1)
    return [*parts, _tube(bridge, wire * 0.9, closed=False)]

"""Hair styles: a cap that thickens the scalp, locks on it, and a bun. One table row per style."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.assets import AXIS_Z, EAR, INSIDE_MOUTH, load_asset
from idvid.people.hairline import hairline_height
from idvid.people.mesh import (
    CANON_X,
    CANON_Z,
    EDGE,
    HAIR,
    NUM_ATTRIBUTES,
    SKIN,
    STRAND_L,
    STRAND_S,
    Mesh,
    cut_triangles,
    make_part,
    unit,
)
from idvid.people.noise import noise_on_points, smoothstep
from idvid.people.ribbons import Locks, grow_locks

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people.anatomy import Body
    from idvid.people.spec import HairSpec

COMBED_BACK = ("combed_back", "slick", "ponytail", "bun", "mohawk")
LONG = ("long_straight", "long_side", "long_fringe")
COMBED_ASIDE = ("side_parted", "bob", *LONG)
CURLY = ("curly_short", "afro", "curly_long")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scalp:
    """Canonical facts of the skin's vertices that every style needs, (V,) each."""

    points: NDArray[np.float32]  # (V, 3)
    inside: NDArray[np.float64]  # height above the hairline
    is_head: NDArray[np.bool_]
    grows: NDArray[np.bool_]
    degrees: NDArray[np.float64]  # around the head, 0 in front


def hair_parts(hair: HairSpec, body: Body) -> list[Mesh]:
    """Every mesh of a hair style; none for a bald head."""
    if hair.style == "bald":
        return []
    scalp = _scalp(hair)
    rng = np.random.default_rng(hair.seed)
    parts = [_cap(hair, body, scalp)]
    for mask, count, locks in _lock_groups(hair, scalp):
        places = np.flatnonzero(mask)
        if len(places):
            roots = rng.choice(places, count)
            parts.append(grow_locks(roots, _first(hair, body, roots, locks), body, locks, rng))
    if hair.style == "ponytail":
        parts.append(_ponytail(hair, body, rng))
    if hair.style == "bun":
        parts.append(_bun(hair, body))
    return parts


def _scalp(hair: HairSpec) -> Scalp:
    asset = load_asset()
    points, ear = asset.vertices, asset.masks[:, EAR]
    angle = np.arctan2(points[:, 0], points[:, 2] - AXIS_Z)
    inside = np.where(ear > 0.05, -0.5, points[:, 1] - hairline_height(hair, angle))
    is_head = (points[:, 1] > 5.9) & asset.is_body & (asset.masks[:, INSIDE_MOUTH] < 0.5)
    return Scalp(
        points=points,
        inside=inside,
        is_head=is_head,
        grows=(inside > 0.06) & is_head & (ear < 0.02),
        degrees=np.abs(angle) * 180 / np.pi,
    )


def _flow(hair: HairSpec, points: NDArray, normals: NDArray) -> NDArray:
    """Combing direction (N, 3) along the scalp."""
    x = points[:, 0]
    if hair.style in COMBED_BACK:
        way = np.stack([x * 0.15, np.full(len(x), -0.15), -np.ones(len(x))], 1)
    elif hair.style in COMBED_ASIDE:
        side = np.tanh((x - hair.parting * 0.8) * 12)
        down = -0.5 - 2.0 * smoothstep(7.8, 7.0, points[:, 1])
        way = np.stack([side, down, np.full(len(x), -0.25)], 1)
    else:
        way = points - (0, 8.3, -0.2)
        way[:, 1] -= 0.3
    return unit(way - (way * normals).sum(1, keepdims=True) * normals)


def _first(hair: HairSpec, body: Body, roots: NDArray, locks: Locks) -> NDArray:
    if locks.first is not None:
        return np.tile(locks.first, (len(roots), 1))
    return _flow(hair, load_asset().vertices[roots].astype(float), body.normals[roots])


def _thickness(hair: HairSpec, points: NDArray) -> NDArray:
    """Thickness of the cap over the scalp."""
    x, y, z = points.T
    top, back, front = smoothstep(7.6, 8.4, y), smoothstep(0.2, -0.5, z), smoothstep(0.1, 0.9, z)
    side, volume = 1 - top, hair.volume
    noise = noise_on_points(points, 5.0, hair.seed + 1) - 0.5
    parted = 1 - 0.8 * np.sign(hair.parting) * np.clip(x * 2, -1, 1)
    by_style = {
        "buzz": 0.018 + 0 * x,
        "side_parted": volume * (0.05 * side + 0.20 * top + 0.09 * top * front * parted),
        "combed_back": volume * (0.06 * side + 0.22 * top + 0.10 * top * front),
        "slick": volume * 0.06 + 0.02 * top,
        "messy": volume * (0.12 + 0.16 * top) * (1 + 0.5 * noise),
        "curly_short": volume * (0.17 + 0.15 * top) * (1 + 0.7 * noise),
        "afro": volume * (0.38 + 0.14 * top + 0.12 * back) * (1 + 0.2 * noise),
        "mohawk": 0.02 + 0.45 * volume * np.exp(-((x / 0.20) ** 2)) * top,
        "ponytail": 0.05 + 0.05 * volume * top,
        "bun": 0.05 + 0.05 * volume * top,
        "curly_long": volume * (0.22 + 0.10 * top) * (1 + 0.6 * noise),
    }
    return by_style.get(hair.style, 0.07 + 0.11 * volume * top + 0.06 * back * volume)


def _strand_coordinates(hair: HairSpec, points: NDArray) -> tuple[NDArray, NDArray]:
    """Across and along the strands, for their texture."""
    x, y, z = points.T
    if hair.style in COMBED_BACK:
        return np.arctan2(x, y - 7.4) * 1.2, z
    if hair.style in COMBED_ASIDE:
        return z + y * 0.12, x + y * 0.4
    return np.arctan2(x, z + 0.2) * 1.1, y


def _cap(hair: HairSpec, body: Body, scalp: Scalp) -> Mesh:
    asset = load_asset()
    skin = asset.triangles[asset.materials == SKIN]
    keep = (scalp.inside[skin].max(1) > -0.10) & scalp.is_head[skin].all(1)
    triangles, source = cut_triangles(skin, keep)
    points, inside = scalp.points[source], scalp.inside[source]
    ramp = 0.42 if hair.style in CURLY else 0.22  # curls thicken more slowly
    thickness = _thickness(hair, points) * smoothstep(-0.06, ramp, inside) + 0.012
    attributes = np.zeros((len(source), NUM_ATTRIBUTES), np.float32)
    attributes[:, CANON_X : CANON_Z + 1] = points
    attributes[:, STRAND_S], attributes[:, STRAND_L] = _strand_coordinates(hair, points)
    attributes[:, EDGE] = inside + 0.02
    return make_part(
        body.vertices[source] + body.normals[source] * thickness[:, None],
        triangles,
        HAIR,
        attributes,
        weights=asset.weights[source],
        tangents=_flow(hair, points.astype(float), body.normals[source]),
        follows=source,
    )


def _lock_groups(hair: HairSpec, scalp: Scalp) -> list[tuple[NDArray, int, Locks]]:
    """(where they grow, how many, how) of each group of locks."""
    grows, points, length = scalp.grows, scalp.points, hair.length
    hanging = grows & (points[:, 2] < 0.8)
    high = grows & (points[:, 1] > 7.35)
    long = Locks(
        length=1.9 + 1.3 * length, width=0.24, steps=12, gravity=0.55, stiffness=0.6, tip=0.5
    )
    bob = replace(long, length=1.1 + 0.6 * length, width=0.23, steps=9, tip=0.6)
    curls = replace(long, length=1.5 + 1.2 * length, width=0.20, steps=14, gravity=0.4)
    table = {
        **dict.fromkeys(LONG, (hanging, 420, long)),
        "curly_long": (hanging, 420, replace(curls, stiffness=0.7, curl=0.5, spread=0.15)),
        "bob": (hanging, 400, bob),
        "messy": (high, 330, _short(0.30 + 0.20 * length, 0.12, 0.9, spread=0.28, tip=0.15)),
        "curly_short": (
            grows,
            330,
            _short(0.34 + 0.18 * length, 0.12, 0.8, spread=0.5, tip=0.4, curl=0.8),
        ),
        **dict.fromkeys(
            ("side_parted", "combed_back"),
            (
                grows & (points[:, 1] > 7.6),
                260,
                _short(0.40 + 0.22 * length, 0.06, 0.92, spread=0.08),
            ),
        ),
    }
    groups = [table[hair.style]] if hair.style in table else []
    has_fringe = hair.style in ("bob", "messy", "curly_long") and hair.fringe > 0.6
    if hair.style == "long_fringe" or has_fringe:
        groups.append((_fringe_place(scalp), 150, _fringe(hair)))
    return groups


def _short(
    length: float,
    gravity: float,
    stiffness: float,
    *,
    spread: float,
    tip: float = 0.1,
    curl: float = 0.0,
) -> Locks:
    return Locks(
        length=length,
        width=0.10,
        steps=5,
        gravity=gravity,
        stiffness=stiffness,
        spread=spread,
        tip=tip,
        curl=curl,
        off_face=False,
    )


def _fringe_place(scalp: Scalp) -> NDArray:
    in_front = (scalp.points[:, 1] > 7.85) & (scalp.points[:, 2] > 0.25)
    return scalp.grows & in_front & (scalp.degrees < 60)


def _fringe(hair: HairSpec) -> Locks:
    return Locks(
        length=0.50 + 0.20 * hair.fringe,
        width=0.12,
        steps=6,
        gravity=0.25,
        stiffness=0.8,
        spread=0.07,
        tip=0.4,
        first=(0.0, -0.25, 1.0),
        off_face=False,
    )


def _ponytail(hair: HairSpec, body: Body, rng: Generator) -> Mesh:
    knot = np.argmin(np.linalg.norm(load_asset().vertices - (0, 8.0, -0.55), axis=1))
    locks = Locks(
        length=1.6 + hair.length,
        width=0.15,
        steps=10,
        gravity=0.30,
        stiffness=0.8,
        spread=0.2,
        first=(0.30 * np.sign(hair.parting), 0.15, -1.0),
    )
    roots = np.full(110, knot)
    return grow_locks(roots, np.tile(locks.first or (), (110, 1)), body, locks, rng)


def _bun(hair: HairSpec, body: Body) -> Mesh:
    rings = 14
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings), indexing="ij"
    )
    out = np.stack(
        [np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1
    ).reshape(-1, 3)
    bumps = 1 + 0.24 * (noise_on_points(out.astype(np.float32), 4, 5) - 0.5)[:, None]
    radii = np.array([0.36, 0.32, 0.36]) * (0.8 + 0.3 * hair.volume)
    points = out * radii * bumps + body.joints["head"] + (0, 1.56, -0.42)
    row, column = np.divmod(np.arange((rings - 1) * 2 * rings), 2 * rings)
    row, column = row[column < 2 * rings - 1], column[column < 2 * rings - 1]
    corner = row * 2 * rings + column
    triangles = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 2 * rings], 1),
            np.stack([corner + 1, corner + 2 * rings + 1, corner + 2 * rings], 1),
        ]
    )
    attributes = np.zeros((len(points), NUM_ATTRIBUTES), np.float32)
    attributes[:, CANON_X : CANON_Z + 1] = points
    attributes[:, STRAND_S] = np.arctan2(out[:, 0], out[:, 1]) * 1.3
    attributes[:, STRAND_L] = out[:, 2]
    attributes[:, EDGE] = 0.5
    tangents = unit(np.cross(out, (0, 0, 1.0)))
    return make_part(points, triangles, HAIR, attributes, tangents=tangents, fixed_normals=out)

"""Locks of hair: flat ribbons that start on the scalp, fall, and slide over head and shoulders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.assets import EAR, load_asset
from idvid.people.mesh import (
    CANON_X,
    CANON_Z,
    EDGE,
    HAIR,
    HEAD_BONE,
    MIDDLE_NECK_BONE,
    NUM_ATTRIBUTES,
    NUM_BONES,
    STRAND_L,
    STRAND_S,
    Mesh,
    make_part,
    unit,
)
from idvid.people.noise import smoothstep

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people.anatomy import Body

SHOULDERS = (np.array([0, 4.55, 0.10]), np.array([2.0, 1.14, 0.90]))  # centre, radii


@dataclass(frozen=True, slots=True, kw_only=True)
class Locks:
    """How one group of ribbons grows; lengths in decimetres."""

    length: float
    width: float
    steps: int
    gravity: float
    stiffness: float  # share of the direction kept per step
    curl: float = 0.0
    spread: float = 0.0  # disorder of the first direction
    tip: float = 0.25  # width of the end relative to the root
    first: tuple[float, float, float] | None = None  # first direction, else along the scalp
    off_face: bool = True  # part in front of the face


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skull:
    """The ellipsoid that hair slides over."""

    centre: NDArray[np.float64]  # (3,)
    radii: NDArray[np.float64]  # (3,)


def skull_of(body: Body) -> Skull:
    """Ellipsoid around a person's own head, ears left out."""
    asset = load_asset()
    above = asset.is_body & (asset.vertices[:, 1] > 7.35) & (asset.masks[:, EAR] < 0.02)
    points = body.vertices[above].astype(float)
    low, high = points.min(0), points.max(0)
    centre = (low + high) / 2
    centre[1] = 7.45 + body.head_shift[1]
    radii = (high - low) / 2
    radii[1] = high[1] - centre[1]
    return Skull(centre=centre, radii=radii + np.array([0.06, 0.07, 0.05]))


def grow_locks(
    roots: NDArray, directions: NDArray, body: Body, locks: Locks, rng: Generator
) -> Mesh:
    """Ribbons from root vertices along first directions (R, 3)."""
    paths, lengths = _fall(roots, directions, body, locks, rng)
    along = unit(np.gradient(paths, axis=1))
    skull = skull_of(body)
    below = np.stack([0 * paths[..., 0], paths[..., 1], 0 * paths[..., 0] + 0.05], -1)
    outwards = paths - np.where(paths[..., 1:2] > 6.6, skull.centre, below)
    outwards = unit(outwards - (outwards * along).sum(2, keepdims=True) * along)
    return _ribbon_mesh(paths, (along, outwards), lengths, (body, locks), rng)


def _fall(
    roots: NDArray, directions: NDArray, body: Body, locks: Locks, rng: Generator
) -> tuple[NDArray, NDArray]:
    """Paths (R, steps + 1, 3) and lengths (R, 1)."""
    count = len(roots)
    lift = 0.05 * rng.uniform(0.5, 2.2, (count, 1))
    place = body.vertices[roots] + body.normals[roots] * lift
    heading = unit(directions + rng.normal(0, 0.12 + locks.spread, (count, 3)))
    lengths = locks.length * rng.uniform(0.8, 1.1, (count, 1))
    phase, speed = rng.uniform(0, 2 * np.pi, (count, 1)), rng.uniform(3, 5, (count, 1))
    margin = rng.random(count)
    skull = skull_of(body)
    path = [place]
    for k in range(locks.steps):
        turn = phase + speed * k
        swirl = np.concatenate([np.cos(turn), 0 * turn, np.sin(turn)], 1)
        heading = heading * locks.stiffness + (0, -locks.gravity, 0) + locks.curl * swirl
        heading = unit(heading)
        before = place
        place = place + heading * lengths / locks.steps
        for centre, radii in ((skull.centre, skull.radii), SHOULDERS):
            place = _push_out(place, centre, radii)
        if locks.off_face:
            place = _part_curtain(place, skull, margin)
        heading = 0.5 * heading + 0.5 * unit(place - before)  # sliding bends the lock
        path.append(place)
    return np.stack(path, 1), lengths


def _push_out(points: NDArray, centre: NDArray, radii: NDArray) -> NDArray:
    scaled = (points - centre) / radii
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.where(
        length < 1.03, centre + scaled / np.maximum(length, 1e-4) * 1.03 * radii, points
    )


def _part_curtain(points: NDArray, skull: Skull, margin: NDArray) -> NDArray:
    """Keep long hair beside the face, and close to the head instead of standing away from it."""
    x, y, z = points.T
    width = skull.radii[0]
    in_front = smoothstep(0.15, 0.55, z - skull.centre[2]) * smoothstep(7.95, 7.6, y)
    inner = in_front * width * (0.86 + 0.10 * margin)
    outer = width * (1.10 + 0.14 * margin) + 0.35 * smoothstep(6.2, 5.4, y)
    size = np.clip(np.abs(x), inner, np.maximum(outer, inner))
    sunk = np.where((y < 7.3) & (z > 0.7 + skull.centre[2]), 0.15, 0.0)
    return np.stack([np.where(x < 0, -size, size), y, z - sunk * (z - skull.centre[2])], 1)


def _ribbon_mesh(
    paths: NDArray, frames: tuple, lengths: NDArray, owner: tuple, rng: Generator
) -> Mesh:
    body, locks = owner
    along, outwards = frames
    count, steps = len(paths), locks.steps
    share = np.linspace(0, 1, steps + 1)[None, :, None]
    width = locks.width * rng.uniform(0.7, 1.3, (count, 1, 1))
    side = np.cross(along, outwards) * width * (1 - (1 - locks.tip) * share**2) / 2
    points = np.stack([paths - side, paths + side], 2).reshape(-1, 3)
    base = (np.arange(count)[:, None] * (steps + 1) + np.arange(steps)[None]).reshape(-1) * 2
    first = np.stack([base, base + 1, base + 2], 1)
    second = np.stack([base + 1, base + 3, base + 2], 1)
    weights = np.zeros((len(points), NUM_BONES), np.float32)
    high = smoothstep(5.3, 6.4, points[:, 1])
    weights[:, HEAD_BONE] = high
    weights[:, MIDDLE_NECK_BONE] = (1 - high) * 0.7
    attributes = np.zeros((len(points), NUM_ATTRIBUTES), np.float32)
    attributes[:, CANON_X : CANON_Z + 1] = points - body.head_shift
    strand = rng.uniform(0, 40, (count, 1, 1)) + np.array([0, 1.0]) * locks.width * 2.2
    attributes[:, STRAND_S] = (strand + 0 * share).reshape(-1)
    attributes[:, STRAND_L] = np.repeat((share * lengths[:, :, None]).reshape(-1), 2)
    fray = np.broadcast_to(0.30 - 0.33 * share**3, (count, steps + 1, 1))
    attributes[:, EDGE] = np.repeat(fray.reshape(-1), 2)
    return make_part(
        points,
        np.concatenate([first, second]),
        HAIR,
        attributes,
        weights=weights,
        tangents=np.repeat(along.reshape(-1, 3), 2, 0),
        fixed_normals=np.repeat(outwards.reshape(-1, 3), 2, 0),
    )

"""Soft shapes for painting a place: boxes, discs, noise, laid over a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.noise import fractal_map, smoothstep

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """What a painter works with."""

    u: NDArray[np.float64]  # (H, W)
    v: NDArray[np.float64]  # (H, W)
    width: float  # largest u
    colour: NDArray[np.float64]  # (3,)
    rng: Generator


def over(below: NDArray, cover: NDArray, colour: NDArray) -> NDArray:
    """The picture with a colour laid over it; touches only the part that is covered."""
    rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    if len(rows) == 0:
        return below
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    share = cover[part][..., None]
    colour = colour[part] if colour.ndim == 3 else colour
    below[part] += share * (colour - below[part])
    return below


def box(
    place: Place, u: tuple[float, float], v: tuple[float, float], edge: float = 0.01
) -> NDArray:
    """1 inside a rectangle, soft at its edge."""
    across = smoothstep(u[0] - edge, u[0] + edge, place.u) * smoothstep(
        u[1] + edge, u[1] - edge, place.u
    )
    return (
        across
        * smoothstep(v[0] - edge, v[0] + edge, place.v)
        * smoothstep(v[1] + edge, v[1] - edge, place.v)
    )


def soft_noise(place: Place, frequency: float, octaves: int = 2) -> NDArray:
    """Smooth noise over the picture, 0..1."""
    seed = int(place.rng.integers(1 << 16))
    u, v = place.u.astype(np.float32), place.v.astype(np.float32)
    return fractal_map(u, v, frequency, octaves, seed)


def discs(
    place: Place, picture: NDArray, count: int, radius: tuple[float, float], colours: NDArray
) -> NDArray:
    """Lay soft discs of random place, size and colour over the picture."""
    for _ in range(count):
        u, v = place.rng.uniform(0, place.width), place.rng.uniform(0.0, 0.8)
        size, strength = place.rng.uniform(*radius), place.rng.uniform(0.25, 0.75)
        distance = np.hypot(place.u - u, place.v - v)
        cover = strength * smoothstep(size * 1.12, size * 0.88, distance)
        picture = over(picture, cover, colours[place.rng.integers(len(colours))])
    return picture

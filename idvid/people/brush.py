"""Soft shapes for painting a place: boxes, discs, noise, laid over a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.noise import fractal_grid, smoothstep

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """What a painter works with; what depends on u or v alone is worked out along one line."""

    u: NDArray[np.float32]  # (1, W)
    v: NDArray[np.float32]  # (H, 1)
    width: float  # largest u
    colour: NDArray[np.float64]  # (3,)
    rng: Generator

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return len(self.v), self.u.shape[1]

    def canvas(self, colours: NDArray) -> NDArray:
        """A picture (H, W, 3) to paint on, from colours (H or 1, W or 1, 3)."""
        return np.broadcast_to(colours, (*self.shape, 3)).copy()


def over(below: NDArray, cover: NDArray, colour: NDArray) -> NDArray:
    """The picture with a colour laid over it; touches only the part that is covered.

    Args:
        below: (H, W, 3), painted on.
        cover: (H or 1, W or 1) share of the colour.
        colour: (3,), or a picture (H, W, 3).
    """
    cover = np.broadcast_to(cover, below.shape[:2])
    part = (_extent(np.any(cover, 1)), _extent(np.any(cover, 0)))
    return _lay(below, part, cover[part], colour)


def _extent(touched: NDArray) -> slice:
    """From the first to the last place that is touched."""
    places = np.flatnonzero(touched)
    return slice(places[0], places[-1] + 1) if len(places) else slice(0, 0)


def _lay(below: NDArray, part: tuple[slice, slice], share: NDArray, colour: NDArray) -> NDArray:
    colour = colour[part] if colour.ndim == 3 else colour
    below[part] += share[..., None] * (colour - below[part])
    return below


def box(
    place: Place,
    below: NDArray,
    sides: tuple[tuple[float, float], tuple[float, float]],
    colour: NDArray,
    edge: float = 0.01,
) -> NDArray:
    """The picture with a rectangle laid over it, soft at its edge; sides are (u, u), (v, v)."""
    u, v = sides
    across = smoothstep(u[0] - edge, u[0] + edge, place.u) * smoothstep(
        u[1] + edge, u[1] - edge, place.u
    )
    top = smoothstep(v[0] - edge, v[0] + edge, place.v)
    bottom = smoothstep(v[1] + edge, v[1] - edge, place.v)
    part = (_extent((top * bottom)[:, 0]), _extent(across[0]))
    share = across[:, part[1]] * top[part[0]] * bottom[part[0]]
    return _lay(below, part, share, colour)


def soft_noise(place: Place, frequency: float, octaves: int = 2) -> NDArray:
    """Smooth noise over the picture (H, W), 0..1."""
    seed = int(place.rng.integers(1 << 16))
    return fractal_grid(place.u[0], place.v[:, 0], frequency, octaves, seed)


def discs(
    place: Place, picture: NDArray, count: int, radius: tuple[float, float], colours: NDArray
) -> NDArray:
    """Lay soft discs of random place, size and colour over the picture."""
    for _ in range(count):
        u, v = place.rng.uniform(0, place.width), place.rng.uniform(0.0, 0.8)
        size, strength = place.rng.uniform(*radius), place.rng.uniform(0.25, 0.75)
        reach = size * 1.13  # a little more than the disc, so that its edge is worked out
        part = (
            _extent(np.abs(place.v[:, 0] - v) < reach),
            _extent(np.abs(place.u[0] - u) < reach),
        )
        distance = np.hypot(place.u[:, part[1]] - u, place.v[part[0]] - v)
        cover = strength * smoothstep(size * 1.12, size * 0.88, distance)
        picture = _lay(picture, part, cover, colours[place.rng.integers(len(colours))])
    return picture

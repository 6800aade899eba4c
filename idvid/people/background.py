"""Simple places behind the people, painted smoothly and a little out of focus.

A painter maps picture coordinates to linear RGB: u runs from 0 at the left in units of the
picture's height, v from 0 at the top to 1 at the bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from idvid.people.brush import Place, box, discs, over, soft_noise
from idvid.people.noise import fractal_grid, smoothstep

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people.light import LightSpec

    Painter = Callable[["Place"], NDArray]

WALL_COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (0.56, 0.55, 0.52),
    "grey": (0.26, 0.27, 0.28),
    "blue": (0.15, 0.25, 0.40),
    "green": (0.17, 0.30, 0.20),
    "yellow": (0.55, 0.42, 0.16),
    "pink": (0.50, 0.30, 0.31),
    "red": (0.34, 0.08, 0.07),
    "brown": (0.25, 0.16, 0.10),
    "purple": (0.24, 0.17, 0.34),
}
SKY_HIGH, SKY_LOW = np.array([0.16, 0.34, 0.68]), np.array([0.56, 0.70, 0.82])
BOKEH = np.array(
    [[1.0, 0.62, 0.22], [1.0, 0.82, 0.52], [0.9, 0.16, 0.10], [0.2, 0.8, 0.5], [0.4, 0.6, 1.0]]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundSpec:
    """A place."""

    kind: str  # key of PAINTERS
    colour: str  # key of WALL_COLOURS; of walls and curtains
    blur: float  # share of the picture's height
    seed: int


def sample_background(rng: Generator) -> BackgroundSpec:
    """A place of one of the kinds."""
    kinds, colours = tuple(PAINTERS), tuple(WALL_COLOURS)
    return BackgroundSpec(
        kind=kinds[int(rng.integers(len(kinds)))],
        colour=colours[int(rng.integers(len(colours)))],
        blur=float(rng.uniform(0.006, 0.022)),
        seed=int(rng.integers(1 << 30)),
    )


def paint_background(
    spec: BackgroundSpec, light: LightSpec, height: int, width: int
) -> NDArray[np.float32]:
    """The place (height, width, 3) in linear light, dimmed and tinted by the scene's light."""
    place = Place(
        u=((np.arange(width)[None, :] + 0.5) / height).astype(np.float32),
        v=((np.arange(height)[:, None] + 0.5) / height).astype(np.float32),
        width=width / height,
        colour=np.array(WALL_COLOURS[spec.colour]),
        rng=np.random.default_rng(spec.seed),
    )
    picture = lit(PAINTERS[spec.kind](place), light)
    sigma = spec.blur * height
    picture = gaussian_filter(np.clip(picture, 0, 1), (sigma, sigma, 0), mode="nearest")
    return np.ascontiguousarray(picture, np.float32)


def lit(picture: NDArray, light: LightSpec) -> NDArray:
    """A picture (..., 3) dimmed and tinted by a scene's light."""
    tint = np.array(light.ambient[0]) / max(light.ambient[0])
    return picture * (0.35 + 0.65 * tint) * min(1.05, 0.25 + 0.75 * light.brightness)


def _wall(place: Place) -> NDArray:
    """A painted wall with a pool of light, sometimes a picture or a skirting board."""
    rng = place.rng
    centre = (rng.uniform(0, place.width), rng.uniform(-0.2, 0.5))
    pool = np.exp(-((place.u - centre[0]) ** 2 / 0.9 + (place.v - centre[1]) ** 2 / 0.7))
    picture = place.colour * (0.62 + 0.45 * pool + 0.05 * soft_noise(place, 3))[..., None]
    if rng.random() < 0.5:
        left = rng.choice([0.08, place.width - 0.5])
        frame = ((left, left + 0.36), (0.12, 0.52))
        inner = ((left + 0.03, left + 0.33), (0.15, 0.49))
        picture = box(place, picture, frame, np.array([0.09, 0.06, 0.04]), 0.006)
        art = rng.uniform(0.1, 0.6, 3) * (0.6 + 0.6 * soft_noise(place, 5))[..., None]
        picture = box(place, picture, inner, art, 0.006)
    return picture


def _sky(place: Place, horizon: float) -> NDArray:
    t = np.clip(place.v / horizon, 0, 1)[..., None] ** 1.2
    sky = place.canvas(SKY_HIGH * (1 - t) + SKY_LOW * t)
    seed = int(place.rng.integers(1 << 16))
    stretched = fractal_grid(place.u[0], place.v[:, 0] * 2.6, 1.6, 3, seed)
    return over(sky, 0.75 * smoothstep(0.48, 0.75, stretched), np.array([0.80, 0.82, 0.84]))


def _field(place: Place) -> NDArray:
    """Sky over hills and grass."""
    horizon = place.rng.uniform(0.48, 0.66)
    picture = _sky(place, horizon)
    for depth, colour in ((0.0, (0.20, 0.30, 0.30)), (0.06, (0.12, 0.24, 0.10))):
        phase, waves = place.rng.uniform(0, 6.28), place.rng.uniform(2, 4)
        edge = horizon + depth + 0.035 * np.sin(place.u * waves + phase)
        picture = over(picture, smoothstep(-0.008, 0.008, place.v - edge), np.array(colour))
    ground = smoothstep(horizon + 0.12, horizon + 0.16, place.v)
    grass = np.array([0.20, 0.33, 0.08]) * (0.75 + 0.5 * soft_noise(place, 6, 3))[..., None]
    return over(picture, ground, grass)


def _sea(place: Place) -> NDArray:
    """Sky, sea and a strip of sand."""
    horizon = place.rng.uniform(0.40, 0.55)
    picture = _sky(place, horizon)
    glitter = fractal_grid(place.u[0] * 1.5, place.v[:, 0] * 14, 3.0, 2, 11)
    water = np.array([0.04, 0.20, 0.30]) * (0.8 + 0.5 * glitter)[..., None]
    picture = over(picture, smoothstep(-0.004, 0.004, place.v - horizon), water)
    shore = horizon + 0.30 + 0.03 * np.sin(place.u * 2.3)
    return over(picture, smoothstep(-0.02, 0.02, place.v - shore), np.array([0.50, 0.40, 0.26]))


def _trees(place: Place) -> NDArray:
    """A park: trunks and leaves with light shining through."""
    picture = np.array([0.10, 0.19, 0.07]) * (0.4 + 1.1 * soft_noise(place, 4, 3))[..., None]
    for _ in range(5):
        u, w = place.rng.uniform(0, place.width), place.rng.uniform(0.02, 0.05)
        trunk = ((u, u + w), (-0.2, 0.9))
        picture = box(place, picture, trunk, np.array([0.055, 0.04, 0.03]))
    picture = discs(
        place, picture, 26, (0.02, 0.055), np.array([[0.55, 0.62, 0.30], [0.40, 0.55, 0.2]])
    )
    ground = np.array([0.15, 0.22, 0.07])
    return over(picture, smoothstep(0.80, 0.86, place.v), ground)


def _street(place: Place) -> NDArray:
    """A street at night: dark houses and lamps out of focus."""
    t = place.v[..., None]
    night = np.array([0.02, 0.028, 0.06]) * (1 - t) + np.array([0.05, 0.04, 0.045]) * t
    picture = place.canvas(night)
    u = 0.0
    while u < place.width:
        w, top = place.rng.uniform(0.2, 0.5), place.rng.uniform(0.05, 0.4)
        colour = np.array([0.025, 0.025, 0.035]) * place.rng.uniform(0.5, 1.6)
        picture = box(place, picture, ((u, u + w), (top, 2.0)), colour)
        u += w
    return discs(place, picture, 22, (0.02, 0.07), BOKEH)


def _window(place: Place) -> NDArray:
    """A window in a wall, with sky behind it and a curtain on each side."""
    picture = place.canvas(place.colour * (0.55 + 0.1 * place.v)[..., None])
    left = place.rng.uniform(0.1, max(0.15, place.width - 1.2))
    right, bottom = left + place.rng.uniform(0.8, 1.1), place.rng.uniform(0.62, 0.8)
    frame = np.array([0.50, 0.48, 0.44])
    around = ((left - 0.05, right + 0.05), (-0.5, bottom + 0.05))
    picture = box(place, picture, around, frame)
    outside = _sky(place, 0.9)
    hedge = smoothstep(bottom - 0.16, bottom - 0.10, place.v + 0.02 * np.sin(place.u * 9))
    outside = over(outside, hedge, np.array([0.12, 0.25, 0.10]))
    picture = box(place, picture, ((left, right), (-0.5, bottom)), outside)
    middle = (left + right) / 2
    upright = ((middle - 0.018, middle + 0.018), (-0.5, bottom))
    picture = box(place, picture, upright, frame)
    picture = box(place, picture, ((left, right), (0.24, 0.27)), frame)
    cloth = place.colour[::-1] * 0.8
    for ends in ((left - 0.22, left + 0.04), (right - 0.04, right + 0.22)):
        picture = box(place, picture, (ends, (-0.5, 2.0)), _folds(place, cloth, 60))
    return picture


def _folds(place: Place, colour: NDArray, frequency: float) -> NDArray:
    phase = place.rng.uniform(0, 6.28)
    wave = np.sin(place.u * frequency + phase + 0.8 * np.sin(place.u * frequency * 0.37 + 1))
    return colour * (0.72 + 0.32 * wave)[..., None] * (1.05 - 0.25 * place.v)[..., None]


def _curtain(place: Place) -> NDArray:
    """A curtain across the whole picture."""
    return _folds(place, place.colour, place.rng.uniform(18, 36))


def _bookshelf(place: Place) -> NDArray:
    """Shelves full of books."""
    picture = place.canvas(np.array([0.045, 0.028, 0.018]))
    shelf = np.array([0.16, 0.09, 0.045])
    height = place.rng.uniform(0.30, 0.38)
    v = place.rng.uniform(-0.25, 0.0)
    while v < 1.1:
        u = -0.05
        while u < place.width + 0.05:
            w, gap = place.rng.uniform(0.035, 0.085), place.rng.uniform(0.03, 0.11)
            grey = place.rng.uniform(0.05, 0.4)
            colour = grey * (0.35 + 1.1 * place.rng.random(3))
            spine = (u + 0.002, u + w - 0.002)
            picture = box(place, picture, (spine, (v + gap, v + height)), colour, 0.004)
            u += w
        board = ((-1, 9), (v + height - 0.005, v + height + 0.025))
        picture = box(place, picture, board, shelf, 0.005)
        v += height + 0.02
    return picture * (1.1 - 0.3 * place.v)[..., None]


def _bricks(place: Place) -> NDArray:
    """A brick wall."""
    rows, length = 0.075, 0.21
    row = np.floor(place.v / rows)
    along = place.u / length + 0.5 * (row % 2)
    column = np.floor(along)
    edge_v = np.abs(place.v / rows - row - 0.5) * rows
    edge_u = np.abs(along - column - 0.5) * length
    mortar = np.maximum(
        smoothstep(rows / 2 - 0.012, rows / 2 - 0.005, edge_v),
        smoothstep(length / 2 - 0.012, length / 2 - 0.005, edge_u),
    )
    table = place.rng.uniform(0.7, 1.25, (64, 64))
    shade = table[row.astype(int) % 64, column.astype(int) % 64]
    brick = np.array([0.27, 0.10, 0.065]) * shade[..., None]
    return over(brick, mortar, np.array([0.30, 0.27, 0.24])) * (1.1 - 0.25 * place.v)[..., None]


PAINTERS: dict[str, Painter] = {
    "wall": _wall,
    "window": _window,
    "field": _field,
    "sea": _sea,
    "trees": _trees,
    "street": _street,
    "curtain": _curtain,
    "bookshelf": _bookshelf,
    "bricks": _bricks,
}

"""Things between camera and people, a little out of focus: a plant, a pillar, a lamp.

A thing is painted once per clip as a layer (H, W, 4) of linear colour and opacity, and put over
each frame. u runs across the layer in picture heights from its middle, v down from the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from idvid.people.background import lit
from idvid.people.noise import smoothstep
from idvid.people.render import SRGB, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people.events import ForegroundSpec
    from idvid.people.light import LightSpec

    Grid = tuple[NDArray, NDArray]
    Layer = tuple[NDArray, NDArray]

REACH = 0.9  # width of a layer, picture heights
BLUR, EDGE = 0.008, 0.006  # picture heights
LEAVES = np.array([(0.05, 0.17, 0.04), (0.08, 0.23, 0.06), (0.03, 0.12, 0.05), (0.14, 0.25, 0.06)])
STONES = np.array([(0.42, 0.40, 0.36), (0.30, 0.29, 0.28), (0.36, 0.25, 0.18), (0.22, 0.14, 0.08)])
SHADES = np.array([(0.85, 0.70, 0.45), (0.80, 0.76, 0.66), (0.62, 0.24, 0.16), (0.30, 0.42, 0.36)])
HALF_HIDDEN = 0.5  # opacity from which a pixel no longer shows its person


def paint_foreground(spec: ForegroundSpec, light: LightSpec, height: int) -> NDArray[np.float32]:
    """The layer (height, W, 4) of a thing in linear light; colours are multiplied by opacity."""
    width = round(REACH * height)
    u = ((np.arange(width)[None, :] + 0.5) / height - REACH / 2).astype(np.float32)
    v = ((np.arange(height)[:, None] + 0.5) / height).astype(np.float32)
    colour, opacity = PAINTERS[spec.kind]((u, v), np.random.default_rng(spec.seed))
    colour = lit(colour, light)
    layer = np.concatenate([colour * opacity[..., None], opacity[..., None]], -1)
    sigma = BLUR * height
    return gaussian_filter(layer, (sigma, sigma, 0), mode="nearest").astype(np.float32)


def cover(frame: Frame, layer: NDArray, middle: tuple[float, float]) -> Frame:
    """Put a layer before a frame; `middle` is (column of its middle, rows that it is lowered), px."""
    height, width = frame.owner.shape
    left, down = middle[0] - layer.shape[1] / 2, round(middle[1])
    first = int(np.floor(left))
    blend = left - first
    spread = np.pad(layer, ((0, 0), (1, 1), (0, 0)))
    moved = (1 - blend) * spread[:, 1:] + blend * spread[:, :-1]  # one column wider
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    start, end = max(0, first), min(width, first + moved.shape[1])
    if start >= end:
        return frame
    part = moved[rows, start - first : end - first]
    opacity = part[..., 3:]
    image, face = frame.image.copy(), frame.face.copy()
    owner, covered = frame.owner.copy(), frame.covered.copy()
    under = (image[:, start:end] / 255.0) ** 2.2
    mixed = np.clip(part[..., :3] + (1 - opacity) * under, 0, 1)
    encoded = SRGB[np.round(mixed * (len(SRGB) - 1)).astype(int)]
    image[:, start:end] = np.where(opacity > 1e-3, encoded, image[:, start:end])
    hidden = opacity[..., 0] > HALF_HIDDEN
    face[:, start:end][hidden] = 0
    owner[:, start:end][hidden] = 0
    covered[:, start:end] *= 1 - opacity[..., 0]
    return Frame(image, face, owner, covered)


def _plant(grid: Grid, rng: Generator) -> Layer:
    """Long leaves that rise from below the picture and bend over."""
    u, v = grid
    colour = np.zeros((*np.broadcast_shapes(u.shape, v.shape), 3), np.float32)
    opacity = np.zeros(colour.shape[:2], np.float32)
    top = rng.uniform(0.1, 0.4)
    angles = np.linspace(-0.75, 0.75, 11) + rng.uniform(-0.1, 0.1, 11)
    for angle in rng.permutation(angles):
        length = (1.15 - top) * rng.uniform(0.75, 1.0) * (1 - 0.25 * abs(angle))
        along = (1.15 - v) / (length * np.cos(angle))
        bend = np.clip(along, 0, 1.2)
        middle = (np.tan(angle) * bend + 0.35 * angle * bend**2) * length
        half = rng.uniform(0.028, 0.05) * np.sin(np.pi * np.clip(along, 0, 1)) ** 0.7
        across = u - middle
        inside = smoothstep(-EDGE, EDGE, half - np.abs(across)) * (along < 1)
        shade = rng.uniform(0.7, 1.35) * (0.55 + 0.6 * np.clip(along, 0, 1))
        shade = shade * np.where(across > 0, 1.0, 0.78)
        leaf = LEAVES[rng.integers(len(LEAVES))] * shade[..., None]
        colour += inside[..., None] * (leaf - colour)
        opacity += inside * (1 - opacity)
    return colour, opacity


def _pillar(grid: Grid, rng: Generator) -> Layer:
    """A round column from top to bottom, sometimes with a base."""
    u, v = grid
    half = rng.uniform(0.07, 0.12) + 0 * v
    if rng.random() < 0.6:
        half = half + 0.025 * smoothstep(0.8, 0.815, v)
    around = np.clip(u / half, -1, 1)
    side = rng.choice((-1, 1))
    shade = 0.35 + 0.65 * np.clip(np.sqrt(1 - around**2) + 0.4 * side * around, 0, 1.2)
    flutes = 0.06 * np.cos(np.arcsin(around) * 16) if rng.random() < 0.5 else 0.0
    colour = STONES[rng.integers(len(STONES))] * (shade + flutes)[..., None]
    return colour.astype(np.float32), smoothstep(-EDGE, EDGE, half - np.abs(u))


def _lamp(grid: Grid, rng: Generator) -> Layer:
    """A standing lamp: a shade that glows, on a thin pole."""
    u, v = grid
    top, tall = rng.uniform(0.08, 0.34), rng.uniform(0.24, 0.32)
    narrow, wide = rng.uniform(0.07, 0.1), rng.uniform(0.13, 0.18)
    down = (v - top) / tall
    half = narrow + (wide - narrow) * down
    shade = smoothstep(-EDGE, EDGE, half - np.abs(u)) * smoothstep(-0.02, 0.02, down)
    shade = shade * smoothstep(-0.02, 0.02, 1 - down)
    pole = smoothstep(-EDGE, EDGE, 0.011 - np.abs(u)) * (down > 0.9)
    glow = np.exp(-((u / 0.11) ** 2) - ((down - 0.55) / 0.6) ** 2)
    cloth = SHADES[rng.integers(len(SHADES))] * (0.55 + 0.75 * glow)[..., None]
    metal = np.array((0.05, 0.045, 0.04))
    colour = np.where((shade > pole)[..., None], cloth, metal)
    return colour.astype(np.float32), np.maximum(shade, pole)


PAINTERS: dict[str, Callable[[Grid, Generator], Layer]] = {
    "plant": _plant,
    "pillar": _pillar,
    "lamp": _lamp,
}

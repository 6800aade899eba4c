"""The skin map of a person: tone, blush, age, marks, brows, stubble and scalp, on the texture.

Every function paints over a linear RGB map in planes (3, TEXTURE_HEIGHT, TEXTURE_WIDTH), and works
out only the texels that it can change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.assets import (
    EAR,
    EYELID,
    TEXTURE_BOTTOM,
    TEXTURE_HEIGHT,
    TEXTURE_TOP,
    TextureSpace,
    load_asset,
    texture_space,
)
from idvid.people.beard import beard_map
from idvid.people.hairline import hairline_height
from idvid.people.noise import fractal_grid, fractal_map, smoothstep
from idvid.people.spec import HAIR_COLOURS, SKIN_TONES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from idvid.people.spec import BrowSpec, PersonSpec, SkinSpec

EYE_X, FOREHEAD = 0.308, 7.7  # canonical places
LINES = (6.5, 8.02)  # y between which age draws lines
SCAR = (6.6, 7.2)
VANISHED = 1e-17  # a share that changes no colour


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """A share of something painted (h, w), and the window of the map that it lies in."""

    rows: slice
    columns: slice
    share: NDArray[np.float32]

    def of(self, picture: NDArray) -> NDArray:
        """The window's part of planes (3, H, W)."""
        return picture[:, self.rows, self.columns]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """What lies at the same texels of everybody's skin."""

    cheeks: NDArray[np.float32]  # (H, W)
    nose: NDArray[np.float32]  # (H, W)
    ears: NDArray[np.float32]  # (H, W)
    in_front: NDArray[np.bool_]  # (H, W)
    top: NDArray[np.floating]  # (H, W) how the skin is dimmed towards the top of the head
    bags: Patch
    sockets: Patch
    lids: Patch
    lid_edge: Patch


def _cut(share: NDArray) -> Patch:
    """The smallest window outside of which a share (H, W) changes nothing."""
    counts = share > VANISHED
    rows, columns = np.flatnonzero(counts.any(1)), np.flatnonzero(counts.any(0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return Patch(rows=window[0], columns=window[1], share=share[window])


@lru_cache(maxsize=1)
def _places() -> Places:
    space = texture_space()
    x, y, z = np.abs(space.x), space.y, space.z
    front = z > 0.7
    return Places(
        cheeks=_spot((x - 0.42) / 0.22, (y - 6.98) / 0.22),
        nose=_spot(x / 0.16, (y - load_asset().nose[1]) / 0.14),
        ears=space.masks[..., EAR].copy(),
        in_front=z > 0.2,
        top=1 - 0.04 * smoothstep(FOREHEAD, 8, y),
        bags=_cut(_spot((x - EYE_X) / 0.20, (y - 7.12) / 0.055) * front),
        sockets=_cut(_spot((x - EYE_X) / 0.26, (y - 7.33) / 0.16) * front),
        lids=_cut(_spot((x - EYE_X) / 0.20, (y - 7.385) / 0.055) * (z > 0.9)),
        lid_edge=_cut(np.clip(space.masks[..., EYELID], 0, 1)),
    )


@lru_cache(maxsize=8)
def _beard_patch(kind: str) -> Patch:
    space = texture_space()
    cover = beard_map(space.x, space.y, space.z, kind) * (space.masks[..., EAR] < 0.05)
    return _cut(cover)


def skin_tone(skin: SkinSpec) -> NDArray[np.float32]:
    """Mean skin colour (3,), linear RGB."""
    place = skin.melanin * (len(SKIN_TONES) - 1)
    low = min(int(place), len(SKIN_TONES) - 2)
    share = place - low
    tone = np.array(SKIN_TONES[low]) * (1 - share) + np.array(SKIN_TONES[low + 1]) * share
    red, yellow = skin.redness, skin.yellowness
    tint = np.array([1 + 0.05 * red, 1 - 0.02 * red, 1 - 0.03 * red - 0.06 * yellow])
    return (tone * tint * (1 + skin.brightness)).astype(np.float32)


def bake_skin(spec: PersonSpec) -> NDArray[np.float32]:
    """The skin map (TEXTURE_HEIGHT, TEXTURE_WIDTH, 3) of a person."""
    space = texture_space()
    rng = np.random.default_rng(spec.skin.seed)
    picture = _base(spec, space)
    _paint_age(picture, spec, space)
    _paint_marks(picture, spec.skin, space, rng)
    _paint_lids(picture, spec)
    _paint_brows(picture, spec, space)
    _paint_beard(picture, spec, space)
    _paint_scalp(picture, spec, space)
    np.clip(picture, 0.002, 0.95, out=picture)
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def _noise(space: TextureSpace, frequency: float, octaves: int, seed: int) -> NDArray:
    return fractal_grid(space.angle * np.float32(1.2), space.row_y, frequency, octaves, seed)


def _blend(picture: NDArray, cover: NDArray, colour: NDArray) -> None:
    """Cover planes (3, h, w) with a colour, in place."""
    cover = cover.astype(np.float32)
    rest = 1 - cover
    for plane, value in zip(picture, np.asarray(colour, np.float32), strict=True):
        plane *= rest
        plane += cover * value


def _dim(picture: NDArray, share: NDArray, strength: Iterable[float]) -> None:
    """Take a share (h, w) of each colour of planes (3, h, w), in place."""
    for plane, amount in zip(picture, strength, strict=True):
        plane *= 1 - share * amount


def _spot(u: NDArray, v: NDArray) -> NDArray:
    return np.exp(-(u * u + v * v))


def _base(spec: PersonSpec, space: TextureSpace) -> NDArray[np.float32]:
    skin, places = spec.skin, _places()
    large = _noise(space, 3, 3, skin.seed) - 0.5
    pores = _noise(space, 20, 2, skin.seed + 5) - 0.5
    red = (0.35 * skin.blush * places.cheeks + 0.22 * places.nose) * places.in_front
    red += 0.15 * places.ears + 0.18 * skin.blotchiness * large
    value = 1 + 0.20 * skin.blotchiness * large + 0.16 * pores
    value *= places.top
    tints = zip(skin_tone(skin), np.array([0.16, -0.30, -0.22]), strict=True)
    picture = np.stack([value * tone * (1 + red * flush) for tone, flush in tints])
    bags, sockets = places.bags, places.sockets
    _dim(bags.of(picture), bags.share * skin.eye_bags, np.array([0.22, 0.30, 0.23]))
    shade = sockets.share * (0.35 + 0.5 * skin.melanin)
    _dim(sockets.of(picture), shade, np.array([0.10, 0.16, 0.14]))
    return picture.astype(np.float32)


def _paint_age(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    """Lines of the forehead, beside the eyes and from nose to mouth."""
    amount = float(smoothstep(0.25, 1, np.asarray(spec.age)))
    if amount == 0:
        return
    rows = space.rows(*LINES)
    part = space.part(rows)
    x, y, z = np.abs(part.x), part.y, part.z
    wobble = _noise(part, 3, 2, spec.skin.seed + 2) - 0.5
    waves = np.sin((y + 0.02 * np.sin(part.x * 5 + spec.skin.seed % 100)) * 62 + 1.5 * wobble)
    forehead = smoothstep(0.7, 1.0, waves) * np.exp(-((x / 0.55) ** 4))
    forehead = forehead * smoothstep(7.62, 7.72, y) * smoothstep(8.02, 7.9, y)
    fan = np.abs(np.sin(np.arctan2(y - 7.25, x - 0.45) * 7 + wobble * 2))
    feet = smoothstep(0.85, 1.0, fan) * _spot((x - 0.62) / 0.10, (y - 7.22) / 0.14)
    fold = np.exp(-(((x - (0.19 + (7.0 - y) * 0.42)) / 0.02) ** 2))
    fold = fold * smoothstep(6.5, 6.6, y) * smoothstep(6.98, 6.85, y) * (z > 0.7)
    lines = amount * 0.30 * (forehead + feet + fold)
    _dim(picture[:, rows], lines, np.array([0.8, 1, 1], np.float32))


def _paint_marks(
    picture: NDArray, skin: SkinSpec, space: TextureSpace, rng: np.random.Generator
) -> None:
    """Freckles, moles and a scar."""
    tone = skin_tone(skin)
    freckles = int(240 * skin.freckles)
    places = rng.normal((0, 7.02), (0.42, 0.20), (freckles, 2))
    sizes = rng.uniform(0.009, 0.018, freckles)
    strength = 0.75 * rng.uniform(0.4, 1, freckles)
    _paint_spots(
        picture, space, np.column_stack([places, sizes, strength]), tone * (0.62, 0.45, 0.38)
    )
    places = rng.normal((0, 6.9), (0.45, 0.4), (skin.moles, 2))
    sizes = rng.uniform(0.014, 0.026, skin.moles)
    strength = 0.9 * rng.uniform(0.5, 1, skin.moles)
    _paint_spots(picture, space, np.column_stack([places, sizes, strength]), tone * 0.22)
    if skin.scar:
        x, rows = rng.uniform(-0.6, 0.6), space.rows(*SCAR)
        part = space.part(rows)
        cover = np.exp(-(((part.x - x - 0.3 * (part.y - 6.9)) / 0.014) ** 2)) * (part.z > 0.5)
        cover = cover * smoothstep(6.6, 6.65, part.y) * smoothstep(7.2, 7.1, part.y)
        _blend(picture[:, rows], 0.6 * cover, tone * (1.2, 0.9, 0.9))


def _paint_spots(picture: NDArray, space: TextureSpace, spots: NDArray, colour: NDArray) -> None:
    """Soft discs; each row of `spots` is x, y, radius, strength."""
    front = space.x[TEXTURE_HEIGHT // 2]
    middle = front.shape[0] // 2
    for x, y, radius, strength in spots:
        column = int(np.searchsorted(front[middle - 90 : middle + 90], x)) + middle - 90
        row = int((TEXTURE_TOP - y) / (TEXTURE_TOP - TEXTURE_BOTTOM) * TEXTURE_HEIGHT)
        part = (slice(max(0, row - 5), row + 5), slice(max(0, column - 8), column + 8))
        cover = strength * _spot((space.x[part] - x) / radius, (space.y[part] - y) / radius)
        _blend(picture[:, *part], cover * (space.z[part] > 0.3), colour)


def _paint_lids(picture: NDArray, spec: PersonSpec) -> None:
    """Eyeshadow, and the line of lashes and liner."""
    makeup, lids, edge = spec.makeup, _places().lids, _places().lid_edge
    shadow = lids.share * makeup.eyeshadow * 0.85
    _blend(lids.of(picture), shadow, np.array(makeup.eyeshadow_colour))
    _dim(edge.of(picture), edge.share, [0.30 + 0.45 * makeup.eyeliner] * 3)


def _paint_brows(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    brows = spec.brows
    # Where exp(-r^3) is not yet zero, around all heights that the brow's middle line can have.
    reach = 0.6 * abs(brows.slope) * 1.2 + abs(brows.arch) + 0.03 + 4.8 * brows.thickness
    rows = space.rows(7.552 + brows.height - reach, 7.552 + brows.height + reach)
    colour = np.array(HAIR_COLOURS[brows.colour]) * 1.15 + 0.006
    _blend(picture[:, rows], _brow_cover(brows, space.part(rows), spec.skin.seed), colour)


def _brow_cover(brows: BrowSpec, space: TextureSpace, seed: int) -> NDArray:
    x, y = np.abs(space.x), space.y
    along = np.clip((x - brows.inner) / (brows.outer - brows.inner), 0, 1)
    middle = 7.552 + brows.height + brows.slope * (along - 0.4) * 1.2
    middle = middle + brows.arch * np.sin(np.pi * along**1.1) - 0.07 * np.clip(along - 0.7, 0, 1)
    half = brows.thickness * (1 - 0.60 * along**2) * (0.6 + 0.4 * smoothstep(0, 0.2, along))
    slant = (x * 2 + (y - middle) * (1.2 - 2 * along)).astype(np.float32)
    strands = fractal_map(slant, y, 34.0, 1, seed + 77)
    cover = np.exp(-(np.abs((y - middle) / half) ** 3)) * (space.z > 0.6)
    cover = cover * smoothstep(brows.inner - 0.05, brows.inner + 0.04, x)
    cover = cover * smoothstep(brows.outer + 0.03, brows.outer - 0.05, x)
    return np.clip(cover * (0.55 + 0.75 * strands) * brows.density * 1.1, 0, 0.94)


def _paint_beard(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    """The shadow under a beard, stubble, or the shaved look of a man."""
    if not spec.is_man:
        return
    tone = skin_tone(spec.skin)
    hairy = spec.beard != "none"
    patch = _beard_patch(spec.beard if hairy else "stubble")
    if not hairy:
        shaved = np.array([0.054, 0.051, 0.051]) + 0.3 * tone
        _blend(patch.of(picture), 0.12 * patch.share, shaved)
        return
    strength = 0.42 if spec.beard == "stubble" else 0.72
    grain = _noise(space.part(patch.rows, patch.columns), 70, 1, spec.skin.seed + 31)
    cover = patch.share * (0.65 + 0.7 * grain) * strength
    colour = np.array(HAIR_COLOURS[spec.beard_colour]) * 0.8 + 0.15 * tone
    _blend(patch.of(picture), np.clip(cover, 0, 0.92), colour)


def _paint_scalp(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    """Roots of the hair, so that the skin between strands is not bare."""
    if spec.hair.style == "bald":
        return
    line = hairline_height(spec.hair, space.angle)
    rows = space.rows(line.min() - 0.1, TEXTURE_TOP)
    part = space.part(rows)
    wobble = _noise(part, 14, 2, spec.skin.seed + 6) - 0.5
    inside = part.y - line + 0.06 * wobble
    cover = smoothstep(-0.05, 0.10, inside) * (0.80 if spec.hair.style == "buzz" else 0.95)
    cover = cover * (0.8 + 0.4 * _noise(part, 80, 1, spec.skin.seed + 3))
    cover = np.clip(cover, 0, 1) * (part.masks[..., EAR] < 0.3)
    colour = np.array(HAIR_COLOURS[spec.hair.colour]) * 0.8 * spec.hair.brightness
    _blend(picture[:, rows], cover, colour + 0.06 * skin_tone(spec.skin))

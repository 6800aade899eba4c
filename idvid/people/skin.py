"""The skin map of a person: tone, blush, age, marks, brows, stubble and scalp, on the texture.

Every function paints over a linear RGB map (TEXTURE_HEIGHT, TEXTURE_WIDTH, 3).
"""

from __future__ import annotations

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
from idvid.people.noise import fractal_map, smoothstep
from idvid.people.spec import HAIR_COLOURS, SKIN_TONES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.spec import BrowSpec, PersonSpec, SkinSpec

EYE_X, FOREHEAD = 0.308, 7.7  # canonical places


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
    """The skin map of a person."""
    space = texture_space()
    rng = np.random.default_rng(spec.skin.seed)
    picture = _base(spec, space)
    _paint_age(picture, spec, space)
    _paint_marks(picture, spec.skin, space, rng)
    _paint_lids(picture, spec, space)
    _blend(picture, _brow_cover(spec.brows, space, spec.skin.seed), _brow_colour(spec))
    _paint_beard(picture, spec, space)
    _paint_scalp(picture, spec, space)
    return np.ascontiguousarray(np.clip(picture, 0.002, 0.95), np.float32)


def _noise(space: TextureSpace, frequency: float, octaves: int, seed: int) -> NDArray:
    return fractal_map(space.angle * np.float32(1.2), space.row_y, frequency, octaves, seed)


def _blend(picture: NDArray, cover: NDArray, colour: NDArray) -> None:
    """Cover the map with a colour, in place."""
    cover = cover[..., None].astype(np.float32)
    picture *= 1 - cover
    picture += cover * np.asarray(colour, np.float32)


def _spot(u: NDArray, v: NDArray) -> NDArray:
    return np.exp(-(u * u + v * v))


def _base(spec: PersonSpec, space: TextureSpace) -> NDArray[np.float32]:
    skin, tone = spec.skin, skin_tone(spec.skin)
    x, y, z = np.abs(space.x), space.y, space.z
    large = _noise(space, 3, 3, skin.seed) - 0.5
    pores = _noise(space, 20, 2, skin.seed + 5) - 0.5
    cheeks = _spot((x - 0.42) / 0.22, (y - 6.98) / 0.22)
    nose = _spot(x / 0.16, (y - load_asset().nose[1]) / 0.14)
    red = (0.35 * skin.blush * cheeks + 0.22 * nose) * (z > 0.2)
    red += 0.15 * space.masks[..., EAR] + 0.18 * skin.blotchiness * large
    value = 1 + 0.20 * skin.blotchiness * large + 0.16 * pores
    value *= 1 - 0.04 * smoothstep(FOREHEAD, 8, y)
    picture = value[..., None] * tone * (1 + red[..., None] * np.array([0.16, -0.30, -0.22]))
    front = z > 0.7
    bags = _spot((x - EYE_X) / 0.20, (y - 7.12) / 0.055) * front * skin.eye_bags
    sockets = _spot((x - EYE_X) / 0.26, (y - 7.33) / 0.16) * front * (0.35 + 0.5 * skin.melanin)
    picture *= 1 - bags[..., None] * np.array([0.22, 0.30, 0.23])
    picture *= 1 - sockets[..., None] * np.array([0.10, 0.16, 0.14])
    return picture.astype(np.float32)


def _paint_age(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    """Lines of the forehead, beside the eyes and from nose to mouth."""
    amount = float(smoothstep(0.25, 1, np.asarray(spec.age)))
    if amount == 0:
        return
    x, y, z = np.abs(space.x), space.y, space.z
    wobble = _noise(space, 3, 2, spec.skin.seed + 2) - 0.5
    waves = np.sin((y + 0.02 * np.sin(space.x * 5 + spec.skin.seed % 100)) * 62 + 1.5 * wobble)
    forehead = smoothstep(0.7, 1.0, waves) * np.exp(-((x / 0.55) ** 4))
    forehead = forehead * smoothstep(7.62, 7.72, y) * smoothstep(8.02, 7.9, y)
    fan = np.abs(np.sin(np.arctan2(y - 7.25, x - 0.45) * 7 + wobble * 2))
    feet = smoothstep(0.85, 1.0, fan) * _spot((x - 0.62) / 0.10, (y - 7.22) / 0.14)
    fold = np.exp(-(((x - (0.19 + (7.0 - y) * 0.42)) / 0.02) ** 2))
    fold = fold * smoothstep(6.5, 6.6, y) * smoothstep(6.98, 6.85, y) * (z > 0.7)
    lines = amount * 0.30 * (forehead + feet + fold)
    picture *= 1 - lines[..., None] * np.array([0.8, 1, 1], np.float32)


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
        x = rng.uniform(-0.6, 0.6)
        cover = np.exp(-(((space.x - x - 0.3 * (space.y - 6.9)) / 0.014) ** 2)) * (space.z > 0.5)
        cover = cover * smoothstep(6.6, 6.65, space.y) * smoothstep(7.2, 7.1, space.y)
        _blend(picture, 0.6 * cover, tone * (1.2, 0.9, 0.9))


def _paint_spots(picture: NDArray, space: TextureSpace, spots: NDArray, colour: NDArray) -> None:
    """Soft discs; each row of `spots` is x, y, radius, strength."""
    front = space.x[TEXTURE_HEIGHT // 2]
    middle = front.shape[0] // 2
    for x, y, radius, strength in spots:
        column = int(np.searchsorted(front[middle - 90 : middle + 90], x)) + middle - 90
        row = int((TEXTURE_TOP - y) / (TEXTURE_TOP - TEXTURE_BOTTOM) * TEXTURE_HEIGHT)
        part = (slice(max(0, row - 5), row + 5), slice(max(0, column - 8), column + 8))
        cover = strength * _spot((space.x[part] - x) / radius, (space.y[part] - y) / radius)
        _blend(picture[part], cover * (space.z[part] > 0.3), colour)


def _paint_lids(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    """Eyeshadow, and the line of lashes and liner."""
    makeup = spec.makeup
    lids = _spot((np.abs(space.x) - EYE_X) / 0.20, (space.y - 7.385) / 0.055) * (space.z > 0.9)
    _blend(picture, lids * makeup.eyeshadow * 0.85, np.array(makeup.eyeshadow_colour))
    edge = np.clip(space.masks[..., EYELID], 0, 1)
    picture *= 1 - (0.30 + 0.45 * makeup.eyeliner) * edge[..., None]


def _brow_colour(spec: PersonSpec) -> NDArray:
    return np.array(HAIR_COLOURS[spec.brows.colour]) * 1.15 + 0.006


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
    cover = beard_map(space.x, space.y, space.z, spec.beard if hairy else "stubble")
    cover = cover * (space.masks[..., EAR] < 0.05)
    if not hairy:
        _blend(picture, 0.12 * cover, np.array([0.054, 0.051, 0.051]) + 0.3 * tone)
        return
    strength = 0.42 if spec.beard == "stubble" else 0.72
    cover = cover * (0.65 + 0.7 * _noise(space, 70, 1, spec.skin.seed + 31)) * strength
    colour = np.array(HAIR_COLOURS[spec.beard_colour]) * 0.8 + 0.15 * tone
    _blend(picture, np.clip(cover, 0, 0.92), colour)


def _paint_scalp(picture: NDArray, spec: PersonSpec, space: TextureSpace) -> None:
    """Roots of the hair, so that the skin between strands is not bare."""
    if spec.hair.style == "bald":
        return
    wobble = _noise(space, 14, 2, spec.skin.seed + 6) - 0.5
    inside = space.y - hairline_height(spec.hair, space.angle) + 0.06 * wobble
    cover = smoothstep(-0.05, 0.10, inside) * (0.80 if spec.hair.style == "buzz" else 0.95)
    cover = cover * (0.8 + 0.4 * _noise(space, 80, 1, spec.skin.seed + 3))
    cover = np.clip(cover, 0, 1) * (space.masks[..., EAR] < 0.3)
    colour = np.array(HAIR_COLOURS[spec.hair.colour]) * 0.8 * spec.hair.brightness
    _blend(picture, cover, colour + 0.06 * skin_tone(spec.skin))

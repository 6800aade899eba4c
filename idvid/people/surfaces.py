"""What each material looks like at a point, before light: colour, gloss, softness.

Compiled kernels. Colours are linear RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.assets import AXIS_Z, FRONT_STRETCH, TEXTURE_BOTTOM, TEXTURE_TOP
from idvid.people.clothes_shape import ROLL_NECK, collar_gap
from idvid.people.mesh import (
    BEARD,
    CLOTH,
    EDGE,
    EYE,
    LASH,
    LIPS,
    MOUTH,
    OCCLUSION,
    SKIN,
    STRAND_L,
    STRAND_S,
    TEETH,
    TONGUE,
    Mesh,
)
from idvid.people.noise import inline_kernel, kernel, value_noise
from idvid.people.raster import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

Triple = tuple[float, float, float]
(
    NO_PART,
    FACE_PART,
    EYE_PART,
    MOUTH_PART,
    HAIR_PART,
    CLOTH_PART,
    BEARD_PART,
    FRAME_PART,
    BODY_PART,
) = range(9)
FACE_PARTS = (FACE_PART, EYE_PART, MOUTH_PART, BEARD_PART, FRAME_PART)
PLAIN, STRIPED, PINSTRIPED, CHECKED, DOTTED = range(5)


class Look(NamedTuple):
    """A person's colours, as the kernels read them."""

    iris: Triple
    pupil_angle: float
    iris_angle: float
    eye_left: Triple  # canonical centre
    eye_right: Triple
    lips: Triple
    lipstick: float
    hair: Triple
    curly: bool
    beard: Triple
    cloth: Triple
    second_cloth: Triple
    pattern: int
    neckline: int
    frame: Triple
    oil: float
    rough: float
    seed: int


class Surface(NamedTuple):
    """One point of a material."""

    red: float
    green: float
    blue: float
    gloss: float
    sharpness: float  # exponent of the highlight
    wrap: Triple  # how far light wraps around, per colour
    occlusion: float
    part: int


@inline_kernel
def clamp01(x: float) -> float:
    """X limited to 0..1."""
    return min(1.0, max(0.0, x))


@kernel
def texel(texture: NDArray, x: float, y: float, z: float) -> Triple:
    """Skin map at a canonical point, bilinear."""
    height, width = texture.shape[0], texture.shape[1]
    turn = np.arctan2(x, z - AXIS_Z) / np.pi
    u = (0.5 + 0.5 * turn * (1 + FRONT_STRETCH * (1 - turn * turn))) * width - 0.5
    v = (TEXTURE_TOP - y) / (TEXTURE_TOP - TEXTURE_BOTTOM) * height - 0.5
    v = min(max(v, 0.0), height - 1.001)
    i, j = int(v), int(np.floor(u))
    du, dv = u - j, v - i
    left, right = j % width, (j + 1) % width
    a, b = (1 - du) * (1 - dv), du * (1 - dv)
    c, d = (1 - du) * dv, du * dv
    return (
        texture[i, left, 0] * a
        + texture[i, right, 0] * b
        + texture[i + 1, left, 0] * c
        + texture[i + 1, right, 0] * d,
        texture[i, left, 1] * a
        + texture[i, right, 1] * b
        + texture[i + 1, left, 1] * c
        + texture[i + 1, right, 1] * d,
        texture[i, left, 2] * a
        + texture[i, right, 2] * b
        + texture[i + 1, left, 2] * c
        + texture[i + 1, right, 2] * d,
    )


@inline_kernel
def fade(a: Triple, b: Triple, t: float) -> Triple:
    """Colour between a (t = 0) and b (t = 1)."""
    s = 1 - t
    return (a[0] * s + b[0] * t, a[1] * s + b[1] * t, a[2] * s + b[2] * t)


@inline_kernel
def scale(a: Triple, k: float) -> Triple:
    """Colour times a factor."""
    return (a[0] * k, a[1] * k, a[2] * k)


@inline_kernel
def skin_surface(
    canon: Triple, values: Triple, face: float, texture: NDArray, look: Look
) -> Surface:
    """Skin and lips; `values` are occlusion, lip and mouth masks."""
    occlusion, lips, mouth = values
    colour = texel(texture, canon[0], canon[1], canon[2])
    lips = clamp01((lips - 0.25) * 1.8)
    if mouth > 0.4:
        lips = min(lips, 1 - mouth)
    if lips > 0:
        grain = 0.85 + 0.3 * value_noise(canon[0] * 90 + 200, canon[1] * 14, 3)
        colour = fade(colour, scale(look.lips, grain), lips)
    if mouth > 0.3:
        k = min(1.0, (mouth - 0.3) * 2.5)
        colour = fade(colour, (0.10, 0.022, 0.02), k)
        occlusion *= 1 - 0.6 * k
    gloss = 0.35 * look.oil * (1 - 0.5 * clamp01(mouth))
    sharpness = 22.0 / look.rough
    if lips > 0.5:
        gloss = 0.45 + 0.8 * look.lipstick
        sharpness = 45.0
    part = FACE_PART if face >= 0.5 else BODY_PART
    wrap = (0.32, 0.14, 0.09)
    return Surface(colour[0], colour[1], colour[2], gloss, sharpness, wrap, occlusion, part)


@inline_kernel
def eye_direction(canon: Triple, look: Look) -> Triple:
    """Unit vector from the eyeball's centre to a canonical point."""
    centre = look.eye_left if canon[0] > 0 else look.eye_right
    dx, dy, dz = canon[0] - centre[0], canon[1] - centre[1], canon[2] - centre[2]
    s = 1 / np.sqrt(dx * dx + dy * dy + dz * dz)
    return dx * s, dy * s, dz * s


@inline_kernel
def eye_surface(way: Triple, gaze: NDArray, look: Look) -> Surface:
    """White, iris and pupil around the gaze, shaded by the lids."""
    dx, dy, dz = way
    gx, gy = np.sin(gaze[0]), np.sin(gaze[1])
    gz = np.sqrt(max(0.1, 1 - gx * gx - gy * gy))
    angle = np.arccos(min(1.0, max(-1.0, dx * gx + dy * gy + dz * gz)))
    k = clamp01((angle - 0.6) / 0.6)
    colour = (0.62 * (1 - 0.15 * k), 0.565 * (1 - 0.35 * k), 0.54 * (1 - 0.35 * k))
    rim = 0.035
    if angle < look.iris_angle + rim:
        f = angle / look.iris_angle
        around = np.arctan2(dy - gy, dx - gx)
        fibre = 0.7 + 0.6 * value_noise(around * 9 + 60, f * 3, look.seed)
        limbus = max(0.25, 1 - max(0.0, f - 0.75) * 2.6)
        iris = scale(look.iris, fibre * limbus * 1.5)
        iris = fade((0.004, 0.004, 0.004), iris, clamp01((angle - look.pupil_angle) / 0.03))
        colour = fade(colour, iris, clamp01((look.iris_angle + rim - angle) / (2 * rim)))
    shade = 1 - 0.65 * clamp01((dy - 0.02) / 0.42) - 0.25 * clamp01((-dy - 0.22) / 0.3)
    shade *= 1 - 0.35 * clamp01((abs(dx) - 0.45) / 0.4)
    colour = scale(colour, 0.35 + 0.65 * shade)
    occlusion = 0.85 * max(0.15, shade)
    wrap = (0.3, 0.2, 0.2)
    return Surface(colour[0], colour[1], colour[2], 5.0, 240.0, wrap, occlusion, EYE_PART)


@inline_kernel
def hair_surface(s: float, length: float, occlusion: float, is_beard: bool, look: Look) -> Surface:
    """Strands of hair or beard."""
    if look.curly:
        grain = 0.45 + 0.75 * value_noise(s * 16 + 90, length * 14 + 190, look.seed)
        grain += 0.35 * value_noise(s * 40 + 290, length * 30 + 290, 5)
    else:
        grain = 0.55 + 0.55 * value_noise(s * 26 + 190, length * 1.2 + 90, look.seed)
        grain += 0.45 * value_noise(s * 70 + 390, length * 2.2 + 90, 5)
    c = scale(look.beard if is_beard else look.hair, grain)
    part = BEARD_PART if is_beard else HAIR_PART
    return Surface(c[0], c[1], c[2], 0.0, 20.0, (0.0, 0.0, 0.0), occlusion * 0.8 + 0.1, part)


@kernel
def pattern_cover(pattern: int, x: float, y: float) -> float:
    """How much of the second colour there is at a canonical point, edges softened."""
    cover = 0.0
    if pattern == STRIPED:
        cover = clamp01(0.5 + 4.0 * (np.sin(y * 17.0) - 0.1))
    elif pattern == PINSTRIPED:
        cover = clamp01(0.5 + 4.0 * (np.sin(x * 20.0) - 0.6))
    elif pattern == CHECKED:
        across = clamp01(0.5 + 4.0 * (np.sin(x * 12.0) - 0.3))
        cover = 0.55 * across + 0.45 * clamp01(0.5 + 4.0 * (np.sin(y * 12.0) - 0.3))
    elif pattern == DOTTED:
        row = np.floor(y * 2.6)
        u = x * 2.6 + 0.5 * (row % 2)
        u -= np.floor(u) + 0.5
        v = y * 2.6 - row - 0.5
        cover = clamp01(0.5 + 9.0 * (0.27 - np.sqrt(u * u + v * v)))
    return cover


@inline_kernel
def cloth_surface(canon: Triple, occlusion: float, look: Look) -> Surface:
    """Knitted cloth with a pattern, and a plain band along the collar."""
    x, y, z = canon
    gap = collar_gap(look.neckline, x, y, z)
    band = 0.30 if look.neckline == ROLL_NECK else 0.10
    cover = pattern_cover(look.pattern, x, y)
    colour = fade(look.cloth, look.second_cloth, cover)
    trim = clamp01((band - gap) / 0.02)
    colour = fade(colour, scale(look.cloth, 0.78), trim)
    grain = 0.85 + 0.22 * value_noise(x * 30 + 300, y * 30 + 300, 11)
    grain += 0.16 * (value_noise(x * 4 + 60, y * 2.5 + 60, 4) - 0.5)
    crease = 1 - 0.25 * clamp01(1 - abs(gap - band) / 0.02)
    c = scale(colour, grain * crease)
    return Surface(c[0], c[1], c[2], 0.04, 8.0, (0.15, 0.15, 0.15), occlusion, CLOTH_PART)


@inline_kernel
def rigid_surface(material: int, canon: Triple, look: Look) -> Surface:
    """Teeth, tongue, lashes and the frame of glasses."""
    none = (0.0, 0.0, 0.0)
    if material == TEETH:
        k = min(1.0, max(0.15, (canon[2] - 1.15) / 0.35))
        return Surface(0.60 * k, 0.56 * k, 0.48 * k, 0.8, 60.0, none, 0.75, MOUTH_PART)
    if material == TONGUE:
        return Surface(0.33, 0.09, 0.085, 0.5, 20.0, none, 0.5, MOUTH_PART)
    if material == LASH:
        return Surface(0.01, 0.008, 0.008, 0.0, 20.0, none, 0.8, FACE_PART)
    c = look.frame
    return Surface(c[0], c[1], c[2], 2.2, 70.0, none, 1.0, FRAME_PART)


@inline_kernel
def surface_at(
    mesh: Mesh, point: tuple, material: int, gaze: NDArray, texture: NDArray, look: Look
) -> Surface:
    """The surface at a point (corners, weights, canonical position) of a mesh."""
    corners, weights, canon = point
    occlusion = mix(mesh, corners, weights, OCCLUSION)
    if material == SKIN:
        lips, mouth = mix(mesh, corners, weights, LIPS), mix(mesh, corners, weights, MOUTH)
        face = mix(mesh, corners, weights, EDGE)
        surface = skin_surface(canon, (occlusion, lips, mouth), face, texture, look)
    elif material == CLOTH:
        surface = cloth_surface(canon, occlusion, look)
    elif material <= BEARD:
        s, length = mix(mesh, corners, weights, STRAND_S), mix(mesh, corners, weights, STRAND_L)
        surface = hair_surface(s, length, occlusion, material == BEARD, look)
    elif material == EYE:
        surface = eye_surface(eye_direction(canon, look), gaze, look)
    else:
        surface = rigid_surface(material, canon, look)
    return surface

"""Light on surfaces: what colour a point of a person has in a scene. Compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.mesh import BEARD, CANON_X, CANON_Y, CANON_Z, EYE, HAIR, SKIN, Mesh
from idvid.people.noise import hash01, inline_kernel, kernel
from idvid.people.raster import DepthMap, mix
from idvid.people.surfaces import Look, Surface, Triple, eye_direction, surface_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNEE = 0.42  # linear light up to which the tone curve is straight
OIL_SHEEN = 0.55


class Posed(NamedTuple):
    """One person in one frame."""

    screen: NDArray[np.float32]  # (V, 3) samples right, samples down, nearness
    world: NDArray[np.float32]  # (V, 3)
    normals: NDArray[np.float32]  # (V, 3)
    tangents: NDArray[np.float32]  # (V, 3)
    head_turn: NDArray[np.float32]  # (3, 3)
    gaze: NDArray[np.float32]  # (2,)


class Rig(NamedTuple):
    """The lights of a frame; the first one casts the shadow."""

    directions: NDArray[np.float32]  # (3, 3) towards the lights
    colours: NDArray[np.float32]  # (3, 3)
    ambient: NDArray[np.float32]  # (3, 3) from the sky, from the ground, from the front
    exposure: float
    eye: NDArray[np.float32]  # (3,) the camera


class Painted(NamedTuple):
    """A person as the kernels need it."""

    mesh: Mesh
    posed: Posed
    look: Look
    texture: NDArray[np.float32]
    shadow: DepthMap
    first_triangle: int
    number: int  # 1..n


@inline_kernel
def blend3(values: NDArray, corners: tuple, weights: tuple) -> Triple:
    """Vertex values (V, 3) at a point of a triangle."""
    a, b, c = corners
    w0, w1, w2 = weights
    return (
        w0 * values[a, 0] + w1 * values[b, 0] + w2 * values[c, 0],
        w0 * values[a, 1] + w1 * values[b, 1] + w2 * values[c, 1],
        w0 * values[a, 2] + w1 * values[b, 2] + w2 * values[c, 2],
    )


@inline_kernel
def dot(a: Triple, b: Triple) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline_kernel
def normal3(a: Triple) -> Triple:
    """Unit vector."""
    s = 1 / np.sqrt(dot(a, a) + 1e-9)
    return (a[0] * s, a[1] * s, a[2] * s)


@inline_kernel
def turn3(m: NDArray, a: Triple) -> Triple:
    """Matrix (3, 3) times vector."""
    return (
        m[0, 0] * a[0] + m[0, 1] * a[1] + m[0, 2] * a[2],
        m[1, 0] * a[0] + m[1, 1] * a[1] + m[1, 2] * a[2],
        m[2, 0] * a[0] + m[2, 1] * a[1] + m[2, 2] * a[2],
    )


@kernel
def lit_share(place: Triple, view: DepthMap, bias: float, x: int, y: int) -> float:
    """Share of nine jittered shadow samples that see the light."""
    c = view.centre
    p = turn3(view.basis, (place[0] - c[0], place[1] - c[1], place[2] - c[2]))
    resolution = view.nearness.shape[0]
    u = (p[0] / view.extent + 0.5) * resolution
    v = (0.5 - p[1] / view.extent) * resolution
    if not (2 < u < resolution - 3 and 2 < v < resolution - 3):
        return 1.0
    u += hash01(x * 57 + y * 13) * 1.6 - 0.8
    v += hash01(x * 7 + y * 131) * 1.6 - 0.8
    hidden = 0
    depth = p[2] + 20.0 + bias
    for i in range(-1, 2):
        for j in range(-1, 2):
            if view.nearness[int(v + i * 1.5), int(u + j * 1.5)] > depth:
                hidden += 1
    return 1 - hidden / 9.0


@kernel
def ambient_light(surface: Surface, normal: Triple, rig: Rig, material: int) -> Triple:
    """Light from everywhere: sky, ground and front, dimmed in creases."""
    sky, front = 0.5 + 0.5 * normal[1], max(0.0, normal[2])
    a, o = rig.ambient, surface.occlusion
    red, green, blue = o, o, o
    if material == SKIN:
        red = np.sqrt(o * np.sqrt(o))  # red light scatters into creases
    return (
        surface.red * red * (a[0, 0] * sky + a[1, 0] * (1 - sky) + a[2, 0] * front),
        surface.green * green * (a[0, 1] * sky + a[1, 1] * (1 - sky) + a[2, 1] * front),
        surface.blue * blue * (a[0, 2] * sky + a[1, 2] * (1 - sky) + a[2, 2] * front),
    )


@kernel
def strand_light(surface: Surface, vectors: tuple, lit: float, colour: Triple) -> Triple:
    """Kajiya-Kay hair under one light; `vectors` are normal, strand, light, half way."""
    normal, strand, light, half = vectors
    facing = dot(normal, light)
    along, gleam = dot(strand, light), dot(strand, half)
    diffuse = np.sqrt(max(0.0, 1 - along * along)) * max(0.0, 0.35 + 0.65 * facing) * 0.9
    ring = np.sqrt(max(0.0, 1 - gleam * gleam))
    narrow = ring**70 * 0.04 * max(0.0, facing + 0.1)
    wide = ring**16 * 0.5 * max(0.0, facing + 0.2)
    k = diffuse + wide
    return (
        colour[0] * lit * (surface.red * k + narrow),
        colour[1] * lit * (surface.green * k + narrow),
        colour[2] * lit * (surface.blue * k + narrow),
    )


@kernel
def soft_light(surface: Surface, vectors: tuple, lit: float, colour: Triple, oil: float) -> Triple:
    """Wrapped diffuse light and one highlight (and the skin's sheen); vectors as above."""
    normal, view, light, half = vectors
    facing = dot(normal, light)
    wrap = surface.wrap
    red = max(0.0, (facing + wrap[0]) / (1 + wrap[0]))
    green = max(0.0, (facing + wrap[1]) / (1 + wrap[1]))
    blue = max(0.0, (facing + wrap[2]) / (1 + wrap[2]))
    gleam = 0.0
    if facing > 0:
        close = max(0.0, dot(normal, half))
        fresnel = 0.04 + 0.96 * (1 - max(0.0, dot(half, view))) ** 5
        if close > 0.7:
            gleam = surface.gloss * (surface.sharpness + 8) / 25.0 * close**surface.sharpness
        gleam = (gleam + oil * close**8) * fresnel * facing * lit
    warm = lit + (1 - lit) * 0.06 if oil > 0 else lit  # blood lets red light into shadows
    return (
        colour[0] * (surface.red * red * warm + gleam),
        colour[1] * (surface.green * green * lit + gleam),
        colour[2] * (surface.blue * blue * lit + gleam),
    )


@inline_kernel
def shade_point(who: Painted, rig: Rig, t: int, bary: tuple, pixel: tuple) -> tuple:
    """Tone-mapped (red, green, blue) and part of one point of a triangle."""
    mesh, posed = who.mesh, who.posed
    corners = (mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2])
    material = mesh.materials[t]
    near = posed.screen
    w1, w2 = bary[0] * near[corners[1], 2], bary[1] * near[corners[2], 2]
    w0 = (1 - bary[0] - bary[1]) * near[corners[0], 2]
    total = 1 / (w0 + w1 + w2)
    weights = (w0 * total, w1 * total, w2 * total)  # perspective-correct
    place = blend3(posed.world, corners, weights)
    eye = rig.eye
    view = normal3((eye[0] - place[0], eye[1] - place[1], eye[2] - place[2]))
    canon = (
        mix(mesh, corners, weights, CANON_X),
        mix(mesh, corners, weights, CANON_Y),
        mix(mesh, corners, weights, CANON_Z),
    )
    point = (corners, weights, canon)
    surface = surface_at(mesh, point, material, posed.gaze, who.texture, who.look)
    if material == EYE:
        normal = turn3(posed.head_turn, eye_direction(canon, who.look))
    else:
        normal = normal3(blend3(posed.normals, corners, weights))
        if dot(normal, view) < 0:
            normal = (-normal[0], -normal[1], -normal[2])
    strand = (0.0, 0.0, 0.0)
    if HAIR <= material <= BEARD:
        strand = normal3(blend3(posed.tangents, corners, weights))
    lit = who_lit(who, rig, place, normal, pixel, material)
    return light_point(surface, (normal, view, strand), rig, material, lit, who.look.oil)


@inline_kernel
def who_lit(
    who: Painted, rig: Rig, place: Triple, normal: Triple, pixel: tuple, material: int
) -> float:
    """Share of the key light that reaches a place."""
    facing = dot(normal, (rig.directions[0, 0], rig.directions[0, 1], rig.directions[0, 2]))
    bias = 0.12 if material == EYE else 0.05 + 0.10 * (1 - max(0.0, facing))
    return lit_share(place, who.shadow, bias, pixel[0], pixel[1])


@inline_kernel
def light_point(
    surface: Surface, vectors: tuple, rig: Rig, material: int, key_lit: float, oil: float
) -> tuple:
    """All lights on a surface, tone-mapped; vectors are normal, view, strand."""
    normal, view, strand = vectors
    red, green, blue = ambient_light(surface, normal, rig, material)
    sheen = OIL_SHEEN * oil if material == SKIN else 0.0
    for i in range(rig.directions.shape[0]):
        light = (rig.directions[i, 0], rig.directions[i, 1], rig.directions[i, 2])
        colour = (rig.colours[i, 0], rig.colours[i, 1], rig.colours[i, 2])
        half = normal3((light[0] + view[0], light[1] + view[1], light[2] + view[2]))
        lit = key_lit if i == 0 else 0.35 + 0.65 * surface.occlusion
        if HAIR <= material <= BEARD:
            add = strand_light(surface, (normal, strand, light, half), lit, colour)
        else:
            add = soft_light(surface, (normal, view, light, half), lit, colour, sheen)
        red += add[0]
        green += add[1]
        blue += add[2]
    e = rig.exposure
    return tone(red * e), tone(green * e), tone(blue * e), surface.part


@inline_kernel
def tone(x: float) -> float:
    """Film-like shoulder: straight up to the knee, then bending towards 1, which it never reaches."""
    if x < KNEE:
        return x
    return KNEE + (1 - KNEE) * (1 - np.exp(-(x - KNEE) / (1 - KNEE)))

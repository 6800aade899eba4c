"""The z-buffer: triangles to nearest triangle per sample, and depth maps seen along a direction.

Screen vertices are (x px, y px down, nearness); nearness grows towards the viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.clothes_shape import collar_gap
from idvid.people.mesh import (
    BEARD,
    CANON_X,
    CANON_Y,
    CANON_Z,
    CLOTH,
    EDGE,
    FRAME,
    HAIR,
    LASH,
    STRAND_L,
    STRAND_S,
    Mesh,
)
from idvid.people.noise import allocating_kernel, inline_kernel, kernel, value_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRAND_FREQUENCY = 30.0  # strands per unit of hair coordinate where hair thins out


class Buffers(NamedTuple):
    """What is nearest at each sample."""

    nearness: NDArray[np.float32]  # (H, W)
    triangle: NDArray[np.int32]  # (H, W) running number over all people, -1 for nothing
    bary: NDArray[np.float32]  # (H, W, 2) screen-linear weights of the 2nd and 3rd corner


def empty_buffers(height: int, width: int) -> Buffers:
    """Buffers in which nothing has been drawn."""
    return Buffers(
        np.zeros((height, width), np.float32),
        np.full((height, width), -1, np.int32),
        np.zeros((height, width, 2), np.float32),
    )


@inline_kernel
def samples_of(screen: NDArray, corners: tuple[int, int, int], shape: tuple[int, int]) -> tuple:
    """First and last column and row of the samples in a triangle's box; most boxes hold none."""
    a, b, c = corners
    x = (screen[a, 0], screen[b, 0], screen[c, 0])
    y = (screen[a, 1], screen[b, 1], screen[c, 1])
    return (
        max(0, int(np.ceil(min(x[0], x[1], x[2]) - 0.5))),
        min(shape[1] - 1, int(np.floor(max(x[0], x[1], x[2]) - 0.5))),
        max(0, int(np.ceil(min(y[0], y[1], y[2]) - 0.5))),
        min(shape[0] - 1, int(np.floor(max(y[0], y[1], y[2]) - 0.5))),
    )


@inline_kernel
def area_of(screen: NDArray, corners: tuple[int, int, int]) -> float:
    """Twice the signed area of a triangle; negative where it faces the viewer."""
    a = (screen[corners[0], 0], screen[corners[0], 1])
    b = (screen[corners[1], 0], screen[corners[1], 1])
    c = (screen[corners[2], 0], screen[corners[2], 1])
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@inline_kernel
def slopes_of(screen: NDArray, corners: tuple[int, int, int], area: float) -> tuple:
    """Change of the second corner's weight per column and row, then of the third's."""
    a = (screen[corners[0], 0], screen[corners[0], 1])
    b = (screen[corners[1], 0], screen[corners[1], 1])
    c = (screen[corners[2], 0], screen[corners[2], 1])
    inverse = 1.0 / area
    return (
        (c[1] - a[1]) * inverse,
        -(c[0] - a[0]) * inverse,
        -(b[1] - a[1]) * inverse,
        (b[0] - a[0]) * inverse,
    )


@inline_kernel
def has_left(w1: float, w2: float, d1x: float, d2x: float) -> bool:
    """Whether a row of samples, walked to the right, is past its triangle (or a hair before)."""
    return (
        (w1 < -1e-6 and d1x <= 0)
        or (w2 < -1e-6 and d2x <= 0)
        or (w1 + w2 > 1.000001 and d1x + d2x >= 0)
    )


@inline_kernel
def mix(mesh: Mesh, corners: tuple, weights: tuple, column: int) -> float:
    """Attribute `column` at a point of a triangle."""
    at = mesh.attributes
    return (
        weights[0] * at[corners[0], column]
        + weights[1] * at[corners[1], column]
        + weights[2] * at[corners[2], column]
    )


@inline_kernel
def is_solid(mesh: Mesh, corners: tuple, weights: tuple, material: int, neckline: int) -> bool:
    """Whether the surface exists at this point: hair frays, cloth ends at its collar."""
    edge = mix(mesh, corners, weights, EDGE)
    solid = edge >= 0.16
    if material == CLOTH:
        x = mix(mesh, corners, weights, CANON_X)
        y = mix(mesh, corners, weights, CANON_Y)
        solid = solid or collar_gap(neckline, x, y, mix(mesh, corners, weights, CANON_Z)) > 0.0
    elif not solid and edge > 0:
        s = mix(mesh, corners, weights, STRAND_S)
        length = mix(mesh, corners, weights, STRAND_L)
        solid = edge > 0.16 * value_noise(s * STRAND_FREQUENCY + 200, length * 3.0 + 200, 7)
    return solid


@kernel
def draw(screen: NDArray, mesh: Mesh, neckline: int, first_triangle: int, out: Buffers) -> None:
    """Draw a mesh into the buffers; hair, frames and lashes are seen from both sides."""
    for t in range(mesh.triangles.shape[0]):
        corners = (mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2])
        box = samples_of(screen, corners, out.nearness.shape)
        if box[0] > box[1] or box[2] > box[3]:
            continue
        area = area_of(screen, corners)
        material = mesh.materials[t]
        two_sided = HAIR <= material <= BEARD or material >= FRAME
        if area < 0 or (two_sided and area != 0):
            slopes = slopes_of(screen, corners, area)
            draw_triangle(screen, mesh, (t, neckline, first_triangle), (box, slopes), out)


@inline_kernel
def draw_triangle(
    screen: NDArray, mesh: Mesh, numbers: tuple[int, int, int], span: tuple, out: Buffers
) -> None:
    """Draw one triangle; numbers are its own, the neckline's, and the first of its person."""
    t, neckline, first_triangle = numbers
    (x0, x1, y0, y1), (d1x, d1y, d2x, d2y) = span
    corners = (mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2])
    material = mesh.materials[t]
    frayed = CLOTH <= material <= BEARD
    za = screen[corners[0], 2]
    z1, z2 = screen[corners[1], 2] - za, screen[corners[2], 2] - za
    for y in range(y0, y1 + 1):
        dy = y + 0.5 - screen[corners[0], 1]
        w1 = (x0 + 0.5 - screen[corners[0], 0]) * d1x + dy * d1y
        w2 = (x0 + 0.5 - screen[corners[0], 0]) * d2x + dy * d2y
        for x in range(x0, x1 + 1):
            inside = w1 >= -1e-6 and w2 >= -1e-6 and w1 + w2 <= 1.000001
            if inside:
                z = za + w1 * z1 + w2 * z2
                if z > out.nearness[y, x]:
                    solid = material != LASH or ((x + y) & 1) == 0
                    if frayed:
                        weights = (1 - w1 - w2, w1, w2)
                        solid = is_solid(mesh, corners, weights, material, neckline)
                    if solid:
                        out.nearness[y, x] = z
                        out.triangle[y, x] = t + first_triangle
                        out.bary[y, x, 0] = w1
                        out.bary[y, x, 1] = w2
            elif has_left(w1, w2, d1x, d2x):
                break
            w1 += d1x
            w2 += d2x


@kernel
def draw_depth(screen: NDArray, triangles: NDArray, casts: NDArray, out: NDArray) -> None:
    """Draw only nearness (H, W), both sides, of the triangles that cast shadows."""
    for t in range(triangles.shape[0]):
        if not casts[t]:
            continue
        corners = (triangles[t, 0], triangles[t, 1], triangles[t, 2])
        box = samples_of(screen, corners, out.shape)
        if box[0] > box[1] or box[2] > box[3]:
            continue
        area = area_of(screen, corners)
        if area != 0:
            draw_depth_triangle(screen, corners, (box, slopes_of(screen, corners, area)), out)


@inline_kernel
def draw_depth_triangle(
    screen: NDArray, corners: tuple[int, int, int], span: tuple, out: NDArray
) -> None:
    """Draw the nearness of one triangle."""
    (x0, x1, y0, y1), (d1x, d1y, d2x, d2y) = span
    a, b, c = corners
    za = screen[a, 2]
    z1 = screen[b, 2] - za
    z2 = screen[c, 2] - za
    for y in range(y0, y1 + 1):
        dy = y + 0.5 - screen[a, 1]
        w1 = (x0 + 0.5 - screen[a, 0]) * d1x + dy * d1y
        w2 = (x0 + 0.5 - screen[a, 0]) * d2x + dy * d2y
        for x in range(x0, x1 + 1):
            if w1 >= 0 and w2 >= 0 and w1 + w2 <= 1.0:
                z = za + w1 * z1 + w2 * z2
                out[y, x] = max(out[y, x], z)
            elif has_left(w1, w2, d1x, d2x):
                break
            w1 += d1x
            w2 += d2x


@kernel
def draw_plain(screen: NDArray, triangles: NDArray, out: Buffers) -> None:
    """Draw front faces without any holes; maps a surface onto its texture."""
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, x1, y0, y1 = samples_of(screen, (a, b, c), out.nearness.shape)
        area = area_of(screen, (a, b, c))
        if area >= 0:
            continue
        d1x, d1y, d2x, d2y = slopes_of(screen, (a, b, c), area)
        for y in range(y0, y1 + 1):
            dy = y + 0.5 - screen[a, 1]
            for x in range(x0, x1 + 1):
                dx = x + 0.5 - screen[a, 0]
                w1 = dx * d1x + dy * d1y
                w2 = dx * d2x + dy * d2y
                z = screen[a, 2] * (1 - w1 - w2) + screen[b, 2] * w1 + screen[c, 2] * w2
                inside = w1 >= -1e-6 and w2 >= -1e-6 and w1 + w2 <= 1.000001
                if inside and z > out.nearness[y, x]:
                    out.nearness[y, x] = z
                    out.triangle[y, x] = t
                    out.bary[y, x, 0] = w1
                    out.bary[y, x, 1] = w2


class DepthMap(NamedTuple):
    """Depth of a person seen along a direction; for shadows and for ambient occlusion."""

    nearness: NDArray[np.float32]  # (R, R)
    basis: NDArray[np.float32]  # (3, 3) rows: right, up, towards the viewer
    centre: NDArray[np.float32]  # (3,)
    extent: float  # side of the seen square, decimetres


def basis_of(direction: NDArray) -> NDArray[np.float32]:
    """Rows right, up, direction of a viewer who looks against `direction` (3,)."""
    up = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.95 else np.array([1.0, 0.0, 0.0])
    right = np.cross(up, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction]).astype(np.float32)


@allocating_kernel
def to_depth_screen(vertices: NDArray, view: DepthMap) -> NDArray:
    """Vertices (V, 3) in the depth map's samples, nearness offset by +20."""
    out = np.empty(vertices.shape, np.float32)
    resolution = view.nearness.shape[0]
    scale = resolution / view.extent
    for i in range(vertices.shape[0]):
        x = vertices[i, 0] - view.centre[0]
        y = vertices[i, 1] - view.centre[1]
        z = vertices[i, 2] - view.centre[2]
        m = view.basis
        out[i, 0] = (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z) * scale + 0.5 * resolution
        out[i, 1] = 0.5 * resolution - (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * scale
        out[i, 2] = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + 20.0
    return out


def depth_map(
    vertices: NDArray, mesh: Mesh, casts: NDArray, direction: NDArray, view: tuple
) -> tuple[DepthMap, NDArray]:
    """Depth map along a direction, and the vertices in its samples.

    Args:
        vertices: posed (V, 3).
        mesh: triangles.
        casts: (F,) whether a triangle casts a shadow.
        direction: (3,) unit, towards the viewer or the light.
        view: (centre (3,), extent in decimetres, resolution in samples).
    """
    centre, extent, resolution = view
    empty = np.zeros((resolution, resolution), np.float32)
    centre = np.asarray(centre, np.float32)
    result = DepthMap(empty, basis_of(direction), centre, float(extent))
    screen = to_depth_screen(vertices, result)
    draw_depth(screen, mesh.triangles, casts, empty)
    return result, screen

"""From samples to pixels: which samples are shaded, and the finished picture. Compiled kernels.

A pixel has 2 x 2 samples. Where all four see one soft material only one is shaded, where it jumps
in depth or another soft one begins two on the diagonal, elsewhere (eyes, glasses, outlines) each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from idvid.people.mesh import BEARD, CLOTH, LASH, SKIN
from idvid.people.noise import inline_kernel, kernel
from idvid.people.shading import Painted, Rig, shade_point

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from idvid.people.raster import Buffers

SAMPLES = 2  # per pixel and axis
FLAT = 0.006  # relative depth within a pixel up to which one sample stands for all
STRANDS_FLAT = 0.015  # the same for hair and beards, which are rough anyway


class Canvas(NamedTuple):
    """The picture in the making, (H, W) pixels."""

    light: NDArray[np.float32]  # (H, W, 3) tone-mapped, averaged over samples
    covered: NDArray[np.float32]  # (H, W) share of samples that show a person
    owner: NDArray[np.uint8]  # (H, W) person 1..n or 0
    part: NDArray[np.uint8]  # (H, W) surfaces.NO_PART..BODY_PART


@inline_kernel
def put(canvas: Canvas, x: int, y: int, shaded: tuple, weight: float) -> None:
    """Add a shaded point to a pixel."""
    canvas.light[y, x, 0] += weight * shaded[0]
    canvas.light[y, x, 1] += weight * shaded[1]
    canvas.light[y, x, 2] += weight * shaded[2]
    canvas.covered[y, x] += weight


@inline_kernel
def paint_pixel(who: Painted, rig: Rig, seen: Buffers, canvas: Canvas, x: int, y: int) -> None:
    """Shade the samples of one pixel that belong to a person."""
    num_triangles = who.mesh.triangles.shape[0]
    u, v = x * SAMPLES, y * SAMPLES
    mine, all_soft = False, True
    low, high, least, most = 1e9, 0.0, LASH, SKIN
    for k in range(SAMPLES * SAMPLES):
        i, j = v + k // SAMPLES, u + k % SAMPLES
        t = seen.triangle[i, j] - who.first_triangle
        owned = 0 <= t < num_triangles
        kind = who.mesh.materials[t] if owned else LASH
        mine |= owned
        all_soft &= kind <= BEARD
        least, most = min(least, kind), max(most, kind)
        low, high = min(low, seen.nearness[i, j]), max(high, seen.nearness[i, j])
    if not mine:
        return
    step = 1
    if all_soft:
        flat = FLAT if most <= CLOTH else STRANDS_FLAT
        step = 4 if least == most and high - low < flat * high else 3
    weight = 1.0 if step == 4 else (0.5 if step == 3 else 0.25)
    for k in range(SAMPLES * SAMPLES - 1, -1, -step):
        i, j = v + k // SAMPLES, u + k % SAMPLES
        t = seen.triangle[i, j] - who.first_triangle
        if 0 <= t < num_triangles:
            shaded = shade_point(who, rig, t, (seen.bary[i, j, 0], seen.bary[i, j, 1]), (j, i))
            put(canvas, x, y, shaded, weight)
            if k == SAMPLES * SAMPLES - 1:
                canvas.owner[y, x] = who.number
                canvas.part[y, x] = shaded[3]


@kernel
def paint_person(who: Painted, rig: Rig, seen: Buffers, canvas: Canvas) -> None:
    """Shade every pixel in which a person is nearest."""
    height, width = canvas.owner.shape
    low_x, low_y, high_x, high_y = width, height, 0, 0
    for i in range(who.posed.screen.shape[0]):
        x, y = who.posed.screen[i, 0] / SAMPLES, who.posed.screen[i, 1] / SAMPLES
        low_x, high_x = min(low_x, int(x)), max(high_x, int(x) + 1)
        low_y, high_y = min(low_y, int(y)), max(high_y, int(y) + 1)
    for y in range(max(0, low_y), min(height, high_y)):
        for x in range(max(0, low_x), min(width, high_x)):
            paint_pixel(who, rig, seen, canvas, x, y)


@kernel
def develop(canvas: Canvas, background: NDArray, view: tuple, curve: NDArray, out: NDArray) -> None:
    """Put the background behind the people and encode as sRGB bytes.

    Args:
        canvas: the shaded people.
        background: (H + margin, W + margin, 3) linear light, already tone-mapped.
        view: (x, y) pixels of the picture's corner in the background, may be fractional, and the
            pixels of the background per pixel of the picture.
        curve: sRGB bytes of linear light 0..1.
        out: (H, W, 3) uint8.
    """
    x0, y0, step = view
    top = curve.shape[0] - 1
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            empty = 1 - canvas.covered[y, x]
            for c in range(3):
                value = canvas.light[y, x, c]
                if empty > 1e-3:
                    fx, fy = x0 + x * step, y0 + y * step
                    i, j = int(fy), int(fx)
                    fx, fy = fx - j, fy - i
                    above = background[i, j, c] * (1 - fx) + background[i, j + 1, c] * fx
                    below = background[i + 1, j, c] * (1 - fx) + background[i + 1, j + 1, c] * fx
                    value += empty * (above * (1 - fy) + below * fy)
                out[y, x, c] = curve[min(top, max(0, int(value * top + 0.5)))]

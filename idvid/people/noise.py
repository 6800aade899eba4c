"""Value noise and smooth steps: the only source of texture. Knows nothing of faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cached on disk, run without the interpreter's lock.
allocating_kernel = njit(fastmath=True, cache=True, nogil=True)
# May not make arrays, so nobody counts references to them: the locked counters of the arrays that
# a kernel takes out of its tuples, sample by sample, cost a third of a picture.
kernel = njit(fastmath=True, cache=True, nogil=True, _nrt=False)  # pyright: ignore[reportCallIssue] - numba's stubs leave it out
# For small kernels that take meshes apart: a call would copy them.
inline_kernel = njit(fastmath=True, cache=True, nogil=True, inline="always", _nrt=False)  # pyright: ignore[reportCallIssue]


def smoothstep(start: float, end: float, x: NDArray) -> NDArray:
    """Hermite step from 0 at `start` to 1 at `end`; `start > end` falls instead of rising."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@inline_kernel
def hash01(n: int) -> float:
    """Pseudo-random number in [0, 1) of an integer."""
    n = (n ^ 61) ^ (n >> 16)
    n = (n + (n << 3)) & 0xFFFFFFFF
    n = n ^ (n >> 4)
    n = (n * 0x27D4EB2D) & 0xFFFFFFFF
    n = n ^ (n >> 15)
    return (n & 0xFFFFFF) / 16777216.0


@kernel
def value_noise(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1) with one random value per unit cell."""
    xi = int(np.floor(x))
    yi = int(np.floor(y))
    fx = x - xi
    fy = y - yi
    fx = fx * fx * (3 - 2 * fx)
    fy = fy * fy * (3 - 2 * fy)
    s = seed * 83492791
    left, right = (xi * 73856093) ^ s, ((xi + 1) * 73856093) ^ s
    low, high = yi * 19349663, (yi + 1) * 19349663
    a = hash01((left ^ low) & 0xFFFFFFFF)
    b = hash01((right ^ low) & 0xFFFFFFFF)
    c = hash01((left ^ high) & 0xFFFFFFFF)
    d = hash01((right ^ high) & 0xFFFFFFFF)
    return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy


@allocating_kernel
def fractal_map(u: NDArray, v: NDArray, frequency: float, octaves: int, seed: int) -> NDArray:
    """Fractal noise (H, W) in [0, 1) over two coordinate maps (H, W)."""
    out = np.zeros(u.shape, np.float32)
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            total = 0.0
            weight = 1.0
            norm = 0.0
            f = frequency
            for k in range(octaves):
                total += weight * value_noise(u[i, j] * f + 50, v[i, j] * f + 50, seed + 17 * k)
                norm += weight
                weight *= 0.5
                f *= 2.0
            out[i, j] = total / norm
    return out


@allocating_kernel
def fractal_grid(u: NDArray, v: NDArray, frequency: float, octaves: int, seed: int) -> NDArray:
    """`fractal_map` where u (W,) is a matter of the column and v (H,) of the row: the same bytes.

    Faster, because neighbours in a row share the four random values of their cell.
    """
    out = np.zeros((v.shape[0], u.shape[0]), np.float32)
    total = np.zeros(u.shape[0])
    for i in range(v.shape[0]):
        total[:] = 0.0
        weight = 1.0
        norm = 0.0
        f = frequency
        for k in range(octaves):
            add_noise_row(total, u, (f, weight), v[i] * f + 50, seed + 17 * k)
            norm += weight
            weight *= 0.5
            f *= 2.0
        for j in range(u.shape[0]):
            out[i, j] = total[j] / norm
    return out


@inline_kernel
def add_noise_row(
    total: NDArray, u: NDArray, scale: tuple[float, float], y: float, seed: int
) -> None:
    """Add a row of weighted `value_noise` to `total` (W,); scale is (frequency, weight)."""
    frequency, weight = scale
    yi = int(np.floor(y))
    fy = y - yi
    fy = fy * fy * (3 - 2 * fy)
    s = seed * 83492791
    low, high = yi * 19349663, (yi + 1) * 19349663
    cell = -(1 << 40)
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for j in range(u.shape[0]):
        x = u[j] * frequency + 50
        xi = int(np.floor(x))
        fx = x - xi
        fx = fx * fx * (3 - 2 * fx)
        if xi != cell:
            left, right = (xi * 73856093) ^ s, ((xi + 1) * 73856093) ^ s
            a = hash01((left ^ low) & 0xFFFFFFFF)
            b = hash01((right ^ low) & 0xFFFFFFFF)
            c = hash01((left ^ high) & 0xFFFFFFFF)
            d = hash01((right ^ high) & 0xFFFFFFFF)
            cell = xi
        total[j] += weight * ((a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy)


@allocating_kernel
def noise_on_points(points: NDArray, frequency: float, seed: int) -> NDArray:
    """Noise (N,) in [0, 1) on points in space (N, 3)."""
    out = np.empty(points.shape[0], np.float32)
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        f = frequency
        out[i] = value_noise(x * f + y * f * 0.37 + 31, z * f - y * f * 0.53 + 47, seed)
    return out

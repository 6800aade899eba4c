"""Triangle meshes: what a vertex carries, how parts are joined, and their normals.

Lengths are decimetres, y is up, z points out of the face, x to the picture's right (seen from the
front). "Canonical" coordinates are those of the average head, so patterns stick to features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.noise import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Materials, in an order that kernels use: cloth, hair and beard may have holes, hair and beard are
# strands, everything from teeth on is rigid, frames and lashes are seen from both sides.
SKIN, CLOTH, HAIR, BEARD, EYE, TEETH, TONGUE, FRAME, LASH = range(9)

# Columns of `attributes`.
CANON_X, CANON_Y, CANON_Z, STRAND_S, STRAND_L, OCCLUSION, LIPS, MOUTH, LID, EDGE = range(10)
NUM_ATTRIBUTES = 10
NUM_BONES = 6  # head, upper, middle and lower neck, left arm, right arm
HEAD_BONE, MIDDLE_NECK_BONE = 0, 2


class Mesh(NamedTuple):
    """A posable triangle mesh; also an argument of compiled kernels."""

    vertices: NDArray[np.float32]  # (V, 3) at rest
    triangles: NDArray[np.int32]  # (F, 3)
    materials: NDArray[np.int32]  # (F,) SKIN..LASH
    attributes: NDArray[np.float32]  # (V, NUM_ATTRIBUTES)
    weights: NDArray[np.float32]  # (V, NUM_BONES); what is missing to 1 stays with the torso
    tangents: NDArray[np.float32]  # (V, 3) hair direction, zero elsewhere
    fixed_normals: NDArray[np.float32]  # (V, 3) used instead of the surface's where not zero
    follows: NDArray[np.int32]  # (V,) base vertex whose expression is copied, or -1


def make_part(
    vertices: NDArray,
    triangles: NDArray,
    material: int,
    attributes: NDArray | None = None,
    **fields: NDArray,
) -> Mesh:
    """A mesh of one material; fields that are not given get neutral values."""
    n = len(vertices)
    if attributes is None:
        attributes = np.zeros((n, NUM_ATTRIBUTES), np.float32)
    attributes = attributes.astype(np.float32)
    attributes[:, OCCLUSION] = 1.0
    head_only = np.zeros((n, NUM_BONES), np.float32)
    head_only[:, HEAD_BONE] = 1.0
    zeros = np.zeros((n, 3), np.float32)
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        materials=np.full(len(triangles), material, np.int32),
        attributes=attributes,
        weights=fields.get("weights", head_only).astype(np.float32),
        tangents=fields.get("tangents", zeros).astype(np.float32),
        fixed_normals=fields.get("fixed_normals", zeros).astype(np.float32),
        follows=fields.get("follows", np.full(n, -1)).astype(np.int32),
    )


def join(parts: Sequence[Mesh]) -> Mesh:
    """One mesh of all parts; vertices keep their order, so the first part's numbers stay valid."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    triangles = [part.triangles + start for part, start in zip(parts, starts, strict=True)]
    columns = {
        name: np.ascontiguousarray(np.concatenate([getattr(part, name) for part in parts]))
        for name in Mesh._fields
        if name != "triangles"
    }
    return Mesh(triangles=np.ascontiguousarray(np.concatenate(triangles), np.int32), **columns)


def cut_triangles(triangles: NDArray, keep: NDArray) -> tuple[NDArray, NDArray]:
    """Kept triangles renumbered, and the vertex each new number came from."""
    source, renumbered = np.unique(triangles[keep], return_inverse=True)
    return renumbered.reshape(-1, 3), source


def unit(vectors: NDArray) -> NDArray:
    """Vectors (..., 3) scaled to length one."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


@kernel
def vertex_normals(vertices: NDArray, triangles: NDArray, out: NDArray) -> None:
    """Area-weighted vertex normals (V, 3) into `out`."""
    out[:] = 0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x1 = vertices[b, 0] - vertices[a, 0]
        y1 = vertices[b, 1] - vertices[a, 1]
        z1 = vertices[b, 2] - vertices[a, 2]
        x2 = vertices[c, 0] - vertices[a, 0]
        y2 = vertices[c, 1] - vertices[a, 1]
        z2 = vertices[c, 2] - vertices[a, 2]
        nx = y1 * z2 - z1 * y2
        ny = z1 * x2 - x1 * z2
        nz = x1 * y2 - y1 * x2
        for k in range(3):
            i = triangles[t, k]
            out[i, 0] += nx
            out[i, 1] += ny
            out[i, 2] += nz
    for i in range(out.shape[0]):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


def normals_of(vertices: NDArray, triangles: NDArray) -> NDArray[np.float32]:
    """Vertex normals (V, 3) of a mesh."""
    out = np.zeros(vertices.shape, np.float32)
    vertex_normals(vertices, triangles, out)
    return out

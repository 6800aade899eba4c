"""The CC0 head (PROVENANCE.md): base mesh, sparse morph targets, landmarks, texture coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.mesh import EYE, LASH, SKIN, TEETH, TONGUE, normals_of
from idvid.people.noise import kernel
from idvid.people.raster import draw_plain, empty_buffers

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTURE_WIDTH, TEXTURE_HEIGHT = 512, 280  # samples around the head and from top to neck
TEXTURE_TOP, TEXTURE_BOTTOM = 8.62, 5.12  # canonical y, decimetres
AXIS_Z = 0.25  # the texture's cylinder stands at x = 0, z = AXIS_Z
FRONT_STRETCH = 0.35  # the face gets this much more texture than the back of the head
FILE_MATERIALS = (SKIN, EYE, TEETH, TONGUE, -1, -1, -1, -1, LASH)  # by number in the file
FACE, LIP_MASK, EYELID, EAR, INSIDE_MOUTH = range(5)  # columns of `masks`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadAsset:
    """Everything that all people share."""

    vertices: NDArray[np.float32]  # (V, 3)
    triangles: NDArray[np.int32]  # (F, 3)
    materials: NDArray[np.int32]  # (F,)
    weights: NDArray[np.float32]  # (V, NUM_BONES)
    masks: NDArray[np.float32]  # (V, 5)
    target_index: dict[str, int]
    target_starts: NDArray[np.int64]  # (targets + 1,) slices of the next two
    target_vertices: NDArray[np.int32]
    target_deltas: NDArray[np.float32]  # (., 3)
    joints: dict[str, NDArray[np.int64]]  # vertices around each joint
    eyes: tuple[NDArray[np.int64], NDArray[np.int64]]  # vertices of the left and the right eyeball
    landmarks: NDArray[np.int64]  # (5,) vertices at dlib's five points
    normals: NDArray[np.float32]  # (V, 3)
    is_body: NDArray[np.bool_]  # (V,) on the skin
    lip_top: float  # canonical y
    ear_x: float  # canonical |x| where the ears begin
    nose: NDArray[np.float32]  # (3,) tip
    eye_centres: NDArray[np.float32]  # (2, 3)

    @property
    def local_targets(self) -> list[str]:
        """Names `L:region:what` of the shape sliders."""
        return [name for name in self.target_index if name.startswith("L:")]

    def target(self, name: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Vertices and displacements (., 3) of a morph target."""
        i = self.target_index[name]
        part = slice(self.target_starts[i], self.target_starts[i + 1])
        return self.target_vertices[part], self.target_deltas[part]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextureSpace:
    """Canonical position of every texel of the skin map, or of a part of it (H, W)."""

    x: NDArray[np.float32]  # (H, W)
    y: NDArray[np.float32]  # (H, W)
    z: NDArray[np.float32]  # (H, W)
    angle: NDArray[np.float32]  # (W,) radians around the head, 0 in front
    row_y: NDArray[np.float32]  # (H,) y of the row, even where there is no surface
    masks: NDArray[np.float32]  # (H, W, 5)

    def rows(self, low: float, high: float) -> slice:
        """The rows that hold every texel between two heights, and one more on either side."""
        margin = 1.5 * (TEXTURE_TOP - TEXTURE_BOTTOM) / TEXTURE_HEIGHT
        inside = np.flatnonzero((self.row_y > low - margin) & (self.row_y < high + margin))
        return slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)

    def part(self, rows: slice, columns: slice = slice(None)) -> TextureSpace:
        """The same of some rows and columns."""
        window = (rows, columns)
        return TextureSpace(
            x=self.x[window],
            y=self.y[window],
            z=self.z[window],
            angle=self.angle[columns],
            row_y=self.row_y[rows],
            masks=self.masks[window],
        )


@kernel
def add_target(out: NDArray, vertices: NDArray, deltas: NDArray, weight: float) -> None:
    """Move `out` (V, 3) by a weighted sparse displacement."""
    for k in range(vertices.shape[0]):
        i = vertices[k]
        out[i, 0] += deltas[k, 0] * weight
        out[i, 1] += deltas[k, 1] * weight
        out[i, 2] += deltas[k, 2] * weight


@lru_cache(maxsize=1)
def load_asset() -> HeadAsset:
    """The shared head, read once per process (1.2 MB)."""
    with np.load(Path(__file__).with_name("head_asset.npz")) as data:
        raw = {name: data[name] for name in data.files}
    vertices = raw["verts"].astype(np.float32)
    materials = np.array(FILE_MATERIALS, np.int32)[raw["mat"]]
    triangles, masks = raw["tri"], raw["masks"].astype(np.float32)
    skin = triangles[materials == SKIN]
    is_body = np.zeros(len(vertices), bool)
    is_body[np.unique(skin)] = True
    near_nose = (np.abs(vertices[:, 0]) < 0.1) & (np.abs(vertices[:, 1] - 6.95) < 0.25)
    return HeadAsset(
        vertices=vertices,
        triangles=triangles,
        materials=materials,
        weights=raw["wg"].astype(np.float32),
        masks=masks,
        target_index={str(name): i for i, name in enumerate(raw["names"])},
        target_starts=raw["off"],
        target_vertices=raw["ti"],
        target_deltas=raw["td"].astype(np.float32),
        joints={k[6:]: v for k, v in raw.items() if k.startswith("joint_")},
        eyes=(raw["eyeL"], raw["eyeR"]),
        landmarks=raw["landmarks5"],
        normals=normals_of(vertices, skin),
        is_body=is_body,
        lip_top=float(vertices[masks[:, LIP_MASK] > 0.5, 1].max()),
        ear_x=float(np.abs(vertices[masks[:, EAR] > 0.5, 0]).min()),
        nose=vertices[np.argmax(np.where(near_nose, vertices[:, 2], -9))],
        eye_centres=np.stack([vertices[raw["eyeL"]].mean(0), vertices[raw["eyeR"]].mean(0)]),
    )


@lru_cache(maxsize=1)
def texture_space() -> TextureSpace:
    """Texel positions, found by drawing the average head unrolled onto the texture."""
    asset = load_asset()
    points = asset.vertices
    turn = np.arctan2(points[:, 0], points[:, 2] - AXIS_Z) / np.pi
    column = (0.5 + 0.5 * turn * (1 + FRONT_STRETCH * (1 - turn**2))) * TEXTURE_WIDTH
    row = (TEXTURE_TOP - points[:, 1]) / (TEXTURE_TOP - TEXTURE_BOTTOM) * TEXTURE_HEIGHT
    radius = np.hypot(points[:, 0], points[:, 2] - AXIS_Z)
    screen = np.stack([column, row, radius + 0.01], 1).astype(np.float32)
    triangles = asset.triangles[asset.materials == SKIN]
    outside = asset.masks[triangles, INSIDE_MOUTH].mean(1) < 0.5
    triangles = triangles[outside & (points[triangles, 1].min(1) > 5.0)]
    triangles = triangles[np.ptp(screen[triangles, 0], axis=1) < TEXTURE_WIDTH * 0.4]
    triangles = np.concatenate([triangles, triangles[:, [0, 2, 1]]])
    buffers = empty_buffers(TEXTURE_HEIGHT, TEXTURE_WIDTH)
    draw_plain(screen, triangles, buffers)
    return _texels(asset, triangles, buffers)


def _texels(asset: HeadAsset, triangles: NDArray, buffers: tuple) -> TextureSpace:
    _, hit, bary = buffers
    corners = triangles[np.maximum(hit, 0)]
    weights = np.stack([1 - bary.sum(-1), bary[..., 0], bary[..., 1]], -1)[..., None]
    position = (asset.vertices[corners] * weights).sum(2)
    masks = (asset.masks[corners] * weights).sum(2) * (hit >= 0)[..., None]
    grid = np.linspace(-1, 1, 4001)
    column = 0.5 + 0.5 * grid * (1 + FRONT_STRETCH * (1 - grid**2))
    turn = np.interp((np.arange(TEXTURE_WIDTH) + 0.5) / TEXTURE_WIDTH, column, grid)
    angle = turn * np.pi
    span = TEXTURE_TOP - TEXTURE_BOTTOM
    row_y = TEXTURE_TOP - (np.arange(TEXTURE_HEIGHT) + 0.5) / TEXTURE_HEIGHT * span
    analytic = np.empty((*hit.shape, 3))
    analytic[..., 0], analytic[..., 2] = np.sin(angle), np.cos(angle) + AXIS_Z
    analytic[..., 1] = row_y[:, None]
    position = np.where((hit < 0)[..., None], analytic, position).astype(np.float32)
    return TextureSpace(
        x=np.ascontiguousarray(position[..., 0]),
        y=np.ascontiguousarray(position[..., 1]),
        z=np.ascontiguousarray(position[..., 2]),
        angle=angle.astype(np.float32),
        row_y=row_y.astype(np.float32),
        masks=masks.astype(np.float32),
    )

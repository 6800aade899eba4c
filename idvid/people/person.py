"""A person ready to be drawn: joined meshes, skin map, colours, baked ambient occlusion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.accessories import cloth_gap, clothes_part, glasses_parts
from idvid.people.anatomy import Body, shape_body
from idvid.people.assets import EYELID, FACE, INSIDE_MOUTH, LIP_MASK, load_asset
from idvid.people.beard import beard_part
from idvid.people.hair import CURLY, hair_parts
from idvid.people.mesh import (
    BEARD,
    CANON_X,
    CANON_Z,
    CLOTH,
    EDGE,
    FRAME,
    LASH,
    LID,
    LIPS,
    MOUTH,
    NUM_ATTRIBUTES,
    OCCLUSION,
    SKIN,
    Mesh,
    join,
    make_part,
    normals_of,
)
from idvid.people.noise import kernel
from idvid.people.raster import depth_map
from idvid.people.skin import bake_skin, skin_tone
from idvid.people.spec import CLOTH_COLOURS, FRAME_COLOURS, HAIR_COLOURS, PATTERNS, PersonSpec
from idvid.people.surfaces import Look

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.spec import ClothesSpec

OCCLUSION_DIRECTIONS, OCCLUSION_RESOLUTION = 28, 112
BUST_CENTRE = (0.0, 6.6, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure:
    """What `trace_landmarks` follows: how a person stands, not how they look."""

    body: Body
    top: float  # highest point of head and hair above the head joint, decimetres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person(Figure):
    """What `render_clip` and `render_portrait` draw."""

    spec: PersonSpec
    mesh: Mesh
    casts: NDArray[np.bool_]  # (F,) triangles that cast shadows
    fixed: NDArray[np.int64]  # vertices with normals of their own
    look: Look
    texture: NDArray[np.float32]  # (TEXTURE_HEIGHT, TEXTURE_WIDTH, 3) linear RGB
    tone: NDArray[np.float32]  # (3,) mean skin colour


def build_person(spec: PersonSpec) -> Person:
    """Meshes and skin map of a person (about 0.2 s)."""
    body = shape_body(spec)
    mesh, fixed = _assemble(spec, body)
    return Person(
        spec=spec,
        body=body,
        mesh=mesh,
        casts=mesh.materials != LASH,
        fixed=fixed,
        look=_look(spec),
        texture=bake_skin(spec),
        top=_top(mesh, body),
        tone=skin_tone(spec.skin),
    )


def build_figure(spec: PersonSpec) -> Figure:
    """What of the same person has a place; skin and light, most of the work, are left out."""
    body = shape_body(spec)
    return Figure(body=body, top=_top(_joined(spec, body), body))


def _assemble(spec: PersonSpec, body: Body) -> tuple[Mesh, NDArray]:
    """All parts as one mesh with ambient occlusion, and the vertices with normals of their own."""
    mesh = _joined(spec, body)
    fixed = np.flatnonzero(np.abs(mesh.fixed_normals).sum(1) > 0)
    _bake_occlusion(mesh, fixed)
    return mesh, fixed


def _joined(spec: PersonSpec, body: Body) -> Mesh:
    """All parts as one mesh."""
    gap = cloth_gap(spec.clothes.neckline)
    parts = [_base_part(spec, body, gap), clothes_part(spec.clothes, body, gap)]
    parts += hair_parts(spec.hair, body)
    beard = beard_part(spec, body)
    parts += [beard] if beard is not None else []
    parts += glasses_parts(spec.glasses, body) if spec.glasses is not None else []
    return join(parts)


def _top(mesh: Mesh, body: Body) -> float:
    return float(mesh.vertices[:, 1].max() - body.joints["head"][1])


def dress(person: Person, clothes: ClothesSpec) -> Person:
    """The same person in other clothes (about 0.03 s; next to nothing with the same neckline)."""
    spec = replace(person.spec, clothes=clothes)
    if clothes.neckline == person.spec.clothes.neckline:
        return replace(person, spec=spec, look=_look(spec))
    mesh, fixed = _assemble(spec, person.body)
    return replace(
        person, spec=spec, look=_look(spec), mesh=mesh, fixed=fixed, casts=mesh.materials != LASH
    )


def _base_part(spec: PersonSpec, body: Body, gap: NDArray) -> Mesh:
    """Skin, eyes, mouth and lashes, without the skin that the garment hides."""
    asset = load_asset()
    hidden = (asset.materials == SKIN) & (gap[asset.triangles].min(1) > 0.15)
    hidden &= asset.vertices[asset.triangles, 1].max(1) < 6.2
    if spec.is_man:
        hidden |= asset.materials == LASH
    attributes = np.zeros((len(asset.vertices), NUM_ATTRIBUTES), np.float32)
    attributes[:, CANON_X : CANON_Z + 1] = asset.vertices
    attributes[:, LIPS] = asset.masks[:, LIP_MASK]
    attributes[:, MOUTH] = asset.masks[:, INSIDE_MOUTH]
    attributes[:, LID] = asset.masks[:, EYELID]
    attributes[:, EDGE] = asset.masks[:, FACE]
    part = make_part(
        body.vertices, asset.triangles[~hidden], SKIN, attributes, weights=asset.weights
    )
    return part._replace(materials=asset.materials[~hidden].astype(np.int32))


def _bake_occlusion(mesh: Mesh, fixed: NDArray) -> None:
    """Write into the mesh how much of the sky each vertex sees, from depth maps all around."""
    casts = (mesh.materials != CLOTH) & (mesh.materials != BEARD) & (mesh.materials < FRAME)
    normals = normals_of(mesh.vertices, mesh.triangles)
    normals[fixed] = mesh.fixed_normals[fixed]
    index = np.arange(OCCLUSION_DIRECTIONS) + 0.5
    polar = np.arccos(1 - 1.75 * index / OCCLUSION_DIRECTIONS)
    around = np.pi * (1 + 5**0.5) * index
    ways = np.stack(
        [
            np.sin(polar) * np.cos(around),
            np.cos(polar) * 0.9 + 0.05,
            np.sin(polar) * np.sin(around),
        ],
        1,
    )
    seen = np.zeros(len(mesh.vertices), np.float32)
    total = np.zeros(len(mesh.vertices), np.float32)
    view = (BUST_CENTRE, 5.8, OCCLUSION_RESOLUTION)
    for way in ways / np.linalg.norm(ways, axis=1, keepdims=True):
        depth, screen = depth_map(mesh.vertices, mesh, casts, way, view)
        _gather(screen, depth.nearness, normals @ way.astype(np.float32), seen, total)
    visible = np.where(total > 0, seen / np.maximum(total, 1e-3), 0.5)
    mesh.attributes[:, OCCLUSION] = visible


@kernel
def _gather(
    screen: NDArray, nearness: NDArray, weight: NDArray, seen: NDArray, total: NDArray
) -> None:
    """Add a direction's weight, and whether the vertex sees that way."""
    size = nearness.shape[0]
    for i in range(screen.shape[0]):
        w = max(weight[i], 0.0)
        x, y = int(screen[i, 0]), int(screen[i, 1])
        inside = 0 <= x < size and 0 <= y < size
        total[i] += w
        if not (inside and nearness[y, x] > screen[i, 2] + 0.06):
            seen[i] += w


def _look(spec: PersonSpec) -> Look:
    asset, clothes, makeup = load_asset(), spec.clothes, spec.makeup
    hair = np.array(HAIR_COLOURS[spec.hair.colour]) * spec.hair.brightness
    tone = skin_tone(spec.skin).astype(float)
    natural = tone * (0.86, 0.52, 0.55) * (1 + 0.10 * np.array(makeup.lip_tint))
    depth = 0.5 + 0.5 * np.sqrt(tone.mean() / 0.35)
    stick = np.array(makeup.lipstick_colour) * makeup.lipstick * depth
    frame = spec.glasses.colour if spec.glasses is not None else "black"
    return Look(
        iris=spec.eyes.iris,
        pupil_angle=spec.eyes.pupil_angle,
        iris_angle=spec.eyes.iris_angle,
        eye_left=_floats(asset.eye_centres[0]),
        eye_right=_floats(asset.eye_centres[1]),
        lips=_floats(natural * (1 - makeup.lipstick) + stick),
        lipstick=makeup.lipstick,
        hair=_floats(hair),
        curly=spec.hair.style in CURLY,
        beard=HAIR_COLOURS[spec.beard_colour],
        cloth=_floats(np.array(CLOTH_COLOURS[clothes.colour]) * clothes.shade),
        second_cloth=_floats(np.array(CLOTH_COLOURS[clothes.second_colour]) * clothes.shade),
        pattern=PATTERNS.index(clothes.pattern),
        neckline=clothes.neckline,
        frame=FRAME_COLOURS[frame],
        oil=spec.skin.oiliness,
        rough=spec.skin.roughness,
        seed=spec.skin.seed % 9973,
    )


def _floats(values: NDArray) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))

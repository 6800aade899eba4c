"""Where beards grow, and the shell they make. The skin's stubble uses the same map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from idvid.people.assets import AXIS_Z, EAR, INSIDE_MOUTH, LIP_MASK, load_asset
from idvid.people.mesh import (
    BEARD,
    CANON_X,
    CANON_Z,
    EDGE,
    NUM_ATTRIBUTES,
    SKIN,
    STRAND_L,
    STRAND_S,
    Mesh,
    cut_triangles,
    make_part,
)
from idvid.people.noise import noise_on_points, smoothstep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.anatomy import Body
    from idvid.people.spec import PersonSpec

THICKNESS = {"full": 0.17, "goatee": 0.09, "short": 0.05, "moustache": 0.07, "chinstrap": 0.05}
JAW_ANGLES = (0, 15, 25, 40, 55, 70, 82, 95)  # degrees around the head
JAW_HEIGHTS = (6.43, 6.45, 6.52, 6.60, 6.72, 6.95, 7.15, 7.2)


def beard_map(x: NDArray, y: NDArray, z: NDArray, kind: str) -> NDArray[np.float32]:
    """How much beard grows at canonical points, 0..1."""
    degrees = np.abs(np.arctan2(x, z - AXIS_Z)) * 180 / np.pi
    lip_top = load_asset().lip_top
    step = smoothstep
    upper = np.interp(degrees, JAW_ANGLES, JAW_HEIGHTS)
    jaw = step(0.06, -0.05, y - upper) * step(5.92, 6.08, y - 0.1 * degrees / 90)
    jaw = jaw * step(84, 76, degrees)
    moustache = step(0.40, 0.30, np.abs(x)) * step(lip_top - 0.03, lip_top + 0.01, y)
    moustache = moustache * step(lip_top + 0.20, lip_top + 0.12, y) * (z > 0.9)
    sides = step(0.44, 0.36, np.abs(x)) * step(0.26, 0.32, np.abs(x)) * step(6.3, 6.4, y)
    sides = sides * step(lip_top + 0.08, lip_top, y) * (z > 0.8)
    chin = step(0.34, 0.26, np.abs(x)) * step(6.46, 6.42, y) * step(5.98, 6.08, y) * (z > 0.6)
    burns = step(62, 68, degrees) * step(84, 78, degrees) * step(7.35, 7.2, y) * step(6.7, 6.8, y)
    strap = jaw * step(0.30, 0.2, y - np.interp(degrees, (0, 30, 60, 90), (6.15, 6.25, 6.45, 6.9)))
    growth = {
        "moustache": moustache,
        "goatee": np.maximum.reduce([moustache, sides, chin]),
        "chinstrap": np.maximum(strap, burns),
    }
    everything = np.maximum.reduce([jaw, moustache, sides, burns])
    return growth.get(kind, everything).astype(np.float32)


def beard_part(spec: PersonSpec, body: Body) -> Mesh | None:
    """The beard's shell over the skin, or None where a shadow on the skin is all there is."""
    if spec.beard not in THICKNESS:
        return None
    asset = load_asset()
    canon, masks = asset.vertices, asset.masks
    growth = (
        beard_map(canon[:, 0], canon[:, 1], canon[:, 2], spec.beard)
        * asset.is_body
        * (masks[:, EAR] < 0.02)
    )
    growth *= (np.abs(canon[:, 0]) < asset.ear_x) & (masks[:, LIP_MASK] < 0.3)
    growth *= masks[:, INSIDE_MOUTH] < 0.3
    skin = asset.triangles[asset.materials == SKIN]
    triangles, source = cut_triangles(skin, growth[skin].max(1) > 0.25)
    points, amount = canon[source], growth[source]
    thickness = THICKNESS[spec.beard] * (0.7 + 0.48 * spec.hair.volume) * amount
    thickness *= 0.7 + 0.6 * noise_on_points(points, 9.0, spec.hair.seed + 6)
    thickness *= 1 + 0.6 * smoothstep(6.4, 6.1, points[:, 1])
    droop = np.array([0, -0.45, 0.1]) * (amount > 0.5)[:, None]
    direction = body.normals[source] * 0.8 + droop
    attributes = np.zeros((len(source), NUM_ATTRIBUTES), np.float32)
    attributes[:, CANON_X : CANON_Z + 1] = points
    attributes[:, STRAND_S] = points[:, 0] * 2.2
    attributes[:, STRAND_L] = points[:, 1]
    attributes[:, EDGE] = amount - 0.45
    return make_part(
        body.vertices[source] + direction * (thickness + 0.006)[:, None],
        triangles,
        BEARD,
        attributes,
        weights=asset.weights[source],
        tangents=np.tile([[0.0, -1.0, 0.0]], (len(source), 1)),
        follows=source,
    )

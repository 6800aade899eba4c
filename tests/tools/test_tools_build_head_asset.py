"""The pure parts of the head's build, on a mesh that fits on a page."""

import gzip

import numpy as np

from tools.build_head_asset import (
    bone_weights,
    differences,
    keep_target,
    kept_triangles,
    lines_of,
    parse_obj,
    parse_target,
)

SQUARE_AND_MORE = """
# a square of skin, a low one, an eye and a helper that is not kept
v 0 5 0
v 1 5 0
v 1 6 0
v 0 6 0
v 0 1 0
v 1 1 0
v 0.5 0.5 0.25
vt 0 0
vt 1 0.5
g body
f 1/1 2/2 3/1 4/2
f 5/1 6/2 7/1
g helper-l-eye
f 1 3 4
g helper-hair
f 2 3 4
""".splitlines()
RIG = {
    "root": {"parent": None},
    "neck02": {"parent": "root"},
    "head": {"parent": "neck02"},
    "jaw": {"parent": "head"},
    "upperarm01.L": {"parent": "root"},
    "lowerarm01.L": {"parent": "upperarm01.L"},
}


def test_an_obj_file_is_read_by_group_and_counts_from_zero():
    mesh = parse_obj(SQUARE_AND_MORE)
    assert mesh.vertices.shape == (7, 3)
    assert mesh.vertices[6].tolist() == [0.5, 0.5, 0.25]
    assert mesh.uv.tolist() == [[0, 0], [1, 0.5]]
    assert mesh.faces == [[0, 1, 2, 3], [4, 5, 6], [0, 2, 3], [1, 2, 3]]
    assert mesh.uv_faces[:2] == [[0, 1, 0, 1], [0, 1, 0]]
    assert mesh.uv_faces[2] == [0, 0, 0]
    assert mesh.groups == ["body", "body", "helper-l-eye", "helper-hair"]
    assert mesh.vertices_of("body").tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_the_bust_is_kept_in_triangles_and_the_rest_is_cut_off():
    mesh = parse_obj(SQUARE_AND_MORE)
    triangles, _, materials = kept_triangles(mesh, np.zeros(7))
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 3]]
    assert materials.tolist() == [0, 0, 1]
    lower_arms = np.array([0, 0, 0.6, 0, 0, 0, 0])
    assert kept_triangles(mesh, lower_arms)[0].tolist() == [[0, 2, 3]]


def test_a_target_keeps_what_moves_kept_vertices(tmp_path):
    file = tmp_path / "smile.target.gz"
    file.write_bytes(gzip.compress(b"# a remark\n2 0.5 -1 0\n\n5 0 0 0.25\n6 1 1 1\n"))
    vertices, deltas = parse_target(lines_of(file))
    assert vertices.tolist() == [2, 5, 6]
    new_number = np.array([-1, -1, 0, -1, -1, 1, -1])
    numbers, moved = keep_target(vertices, deltas, new_number)
    assert numbers.tolist() == [0, 1]
    assert moved.tolist() == [[0.5, -1, 0], [0, 0, 0.25]]
    assert (numbers.dtype, moved.dtype) == (np.int32, np.float16)
    assert parse_target(["# nothing"])[1].shape == (0, 3)


def test_bones_count_for_the_root_they_hang_under():
    pairs = {
        "jaw": [[0, 0.25]],
        "head": [[0, 0.5]],
        "neck02": [[1, 1.0]],
        "lowerarm01.L": [[2, 0.75]],
        "root": [[2, 0.25]],
        "a bone of another rig": [[1, 9.0]],
    }
    weights, lower_arms = bone_weights(RIG, pairs, 3)
    assert weights.tolist() == [
        [0.75, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0.75, 0],
    ]
    assert lower_arms.tolist() == [0, 0, 0.75]


def test_assets_differ_by_value_type_and_name():
    one = {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(2)}
    other = {"a": np.zeros(2), "b": np.array([0, 1.0]), "c": np.zeros(2, np.float32), "d": one["a"]}
    assert differences(one, one) == []
    assert differences(one, other) == ["b", "c", "d"]

"""Laws of the renderer: same seed same bytes, masks and landmarks agree, faces are big and unburnt."""

import hashlib
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest

from idvid.errors import InputError
from idvid.people import (
    build_figure,
    build_person,
    render_clip,
    render_portrait,
    sample_person,
    sample_scene,
    trace_landmarks,
)

FIRST = 950_000  # test seeds
OUTER_EYES, REFERENCE_EYES = (0, 2), 0.739  # of dlib's five points; their distance / box width


@lru_cache(maxsize=32)
def person(seed):
    return build_person(sample_person(seed))


def digest(clip):
    parts = (clip.frames, clip.face_mask, clip.owner, clip.landmarks, clip.visible, clip.yaw)
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


SCENE_DIGEST = """
import hashlib, numpy as np
from idvid.people import build_person, render_clip, sample_person, sample_scene
scene = sample_scene(950_003, 2, 3)
clip = render_clip(scene, [build_person(sample_person(950_000 + i)) for i in range(2)])
parts = (clip.frames, clip.face_mask, clip.owner, clip.landmarks, clip.visible, clip.yaw)
print(hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest())
"""


def test_same_seed_gives_the_same_bytes_here_and_in_another_process():
    scene = sample_scene(950_003, 2, 3)
    people = [build_person(sample_person(FIRST + i)) for i in range(2)]
    here = digest(render_clip(scene, people))
    assert here == digest(render_clip(scene, people))
    command = [sys.executable, "-c", SCENE_DIGEST]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_another_seed_is_another_person_and_another_scene():
    assert sample_person(FIRST) == sample_person(FIRST)
    assert sample_person(FIRST) != sample_person(FIRST + 1)
    assert sample_scene(FIRST, 1) != sample_scene(FIRST + 1, 1)
    one, other = (render_portrait(person(FIRST + i), FIRST, neutral=True).image for i in (0, 1))
    assert np.abs(one.astype(int) - other).mean() > 5


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 6))
def test_landmarks_of_a_frontal_face_lie_in_its_mask(seed):
    portrait = render_portrait(person(seed), seed, neutral=True)
    x, y = np.floor(portrait.landmarks).astype(int).T
    assert portrait.face_mask[y, x].all()
    assert portrait.image.shape == (256, 256, 3)
    # Order of dlib's points: the picture's right eye first, the nose between and below.
    right, left, nose = portrait.landmarks[[0, 2, 4]]
    assert left[0] < nose[0] < right[0]
    assert nose[1] > max(left[1], right[1])


@pytest.mark.parametrize("num_people", [1, 2, 3])
def test_traced_landmarks_equal_the_rendered_ones(num_people):
    scene = sample_scene(FIRST + num_people, num_people, 4)
    people = [person(FIRST + i) for i in range(num_people)]
    clip = render_clip(scene, people)
    assert np.array_equal(trace_landmarks(scene, people), clip.landmarks)
    figures = [build_figure(one.spec) for one in people]
    assert np.array_equal(trace_landmarks(scene, figures), clip.landmarks)
    assert clip.landmarks.shape == (num_people, 4, 5, 2)
    assert clip.yaw.shape == clip.visible.shape == (num_people, 4)


def test_landmarks_scale_with_the_picture():
    scene, people = sample_scene(FIRST, 2, 2), [person(FIRST), person(FIRST + 1)]
    small, large = (
        trace_landmarks(scene, people, 224, 128),
        trace_landmarks(scene, people, 448, 256),
    )
    assert np.allclose(large, small * 2, atol=1e-3)


def test_masks_agree_with_each_other_and_with_the_order_of_people():
    scene, people = sample_scene(FIRST + 5, 3, 2), [person(FIRST + i) for i in range(3)]
    clip = render_clip(scene, people)
    in_face = clip.face_mask > 0
    assert np.array_equal(clip.face_mask[in_face], clip.owner[in_face])
    columns = np.arange(clip.owner.shape[2])
    centres = [
        (clip.face_mask == k).sum((0, 1)) @ columns / (clip.face_mask == k).sum() for k in (1, 2, 3)
    ]
    assert centres == sorted(centres)


@pytest.mark.parametrize(("num_people", "low", "high"), [(1, 48, 62), (2, 40, 50), (3, 31, 40)])
def test_faces_are_big_and_heads_are_whole(num_people, low, high):
    widths = []
    for seed in range(FIRST, FIRST + 5):
        scene = sample_scene(seed, num_people, 2, fps=2.0)
        people = [person(FIRST + (seed + i) % 8) for i in range(num_people)]
        clip = render_clip(scene, people)
        outer = clip.landmarks[:, :, OUTER_EYES[0]] - clip.landmarks[:, :, OUTER_EYES[1]]
        frontal = np.linalg.norm(outer, axis=-1) / np.cos(clip.yaw)
        widths.append(frontal.mean() / REFERENCE_EYES)
        assert (clip.owner[:, 0] == 0).all(), f"a head is cut at the top in scene {seed}"
        assert clip.visible.mean() > 0.9
    assert low <= np.mean(widths) <= high


def test_faces_are_not_burnt_out():
    for seed in range(FIRST, FIRST + 12):
        portrait = render_portrait(person(seed), seed)
        face = portrait.image[portrait.face_mask]
        assert (face >= 252).any(1).mean() < 0.01, f"clipped face in portrait {seed}"
        assert (face.max(1) < 6).mean() < 0.25, f"black face in portrait {seed}"


def test_wrong_numbers_of_people_are_refused():
    with pytest.raises(InputError, match="1 to 4"):
        sample_scene(FIRST, 5)
    with pytest.raises(InputError, match="2 places but 1"):
        render_clip(sample_scene(FIRST, 2), [person(FIRST)])

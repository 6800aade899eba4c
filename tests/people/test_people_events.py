"""Laws of what happens beside acting: it changes what is seen and said, and nothing else."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from idvid.people import (
    build_person,
    dress,
    render_clip,
    render_portrait,
    sample_person,
    sample_scene,
    trace_landmarks,
)
from idvid.people.captions import Telling, caption
from idvid.people.events import STILL, CameraPlan, Cut, ForegroundSpec, Walk
from idvid.people.sampling import sample_other_clothes

FIRST, SIZE = 950_000, (112, 64)  # test seeds


@lru_cache(maxsize=16)
def people(count):
    return [build_person(sample_person(FIRST + i)) for i in range(count)]


def plain(count, frames=6):
    scene = sample_scene(FIRST + count, count, frames, 6.0)
    calm = [replace(a, action="still", head=(0.0, 0.0, 0.0)) for a in scene.actors]
    return replace(scene, actors=tuple(calm))


def with_walk(scene, index, walk):
    actors = list(scene.actors)
    actors[index] = replace(actors[index], walk=walk)
    return replace(scene, actors=tuple(actors))


def test_an_eventful_scene_has_the_place_light_and_acting_of_the_plain_one():
    for seed in range(FIRST, FIRST + 40):
        scene, eventful = sample_scene(seed, 2), sample_scene(seed, 2, eventful=True)
        actors = tuple(replace(actor, walk=None) for actor in eventful.actors)
        assert replace(eventful, actors=actors, camera=STILL, foreground=None) == scene


def test_the_same_eventful_seed_gives_the_same_bytes_and_traces_agree():
    scenes = [sample_scene(s, 2, 4, 3.0, eventful=True) for s in range(FIRST, FIRST + 60)]
    moving = [s for s in scenes if s.camera.cut or any(a.walk for a in s.actors)][:3]
    for scene in moving:
        one, same = (render_clip(scene, people(2), *SIZE) for _ in range(2))
        assert np.array_equal(one.frames, same.frames)
        assert np.array_equal(one.landmarks, trace_landmarks(scene, people(2), *SIZE))


def test_who_comes_in_is_seen_only_later():
    walk = Walk(kind="enter", start_dm=-5.0, end_dm=0.0, arc_dm=0.0, times=(0.0, 0.7))
    clip = render_clip(with_walk(plain(2), 0, walk), people(2), *SIZE)
    assert clip.visible.tolist()[0] == sorted(clip.visible[0].tolist())
    assert not clip.visible[0, 0]
    assert clip.visible[0, -1]
    assert not (clip.face_mask[0] == 1).any()
    assert clip.visible[1].all()


def test_who_passes_in_front_hides_the_other_and_both_change_places():
    scene = plain(2, 9)
    way = scene.actors[1].x - scene.actors[0].x
    front = Walk(kind="front", start_dm=0.0, end_dm=way, arc_dm=1.55, times=(0.0, 0.9), other=1)
    aside = Walk(kind="aside", start_dm=0.0, end_dm=-way, arc_dm=-0.9, times=(0.0, 0.9))
    scene = with_walk(with_walk(scene, 0, front), 1, aside)
    clip = render_clip(scene, people(2), *SIZE)
    across = clip.landmarks[..., 0].mean(-1)
    assert across[0, 0] < across[1, 0]
    assert across[0, -1] > across[1, -1]
    assert clip.visible[0].all()
    assert not clip.visible[1].all()
    assert clip.visible[1, [0, -1]].all()


@pytest.mark.parametrize("kind", ["pillar", "lamp", "plant"])
def test_a_thing_in_front_covers_people_and_their_masks(kind):
    scene = plain(1, 2)
    thing = ForegroundSpec(kind=kind, actor=0, x=scene.actors[0].x, seed=3)
    clear = render_clip(scene, people(1), *SIZE)
    clip = render_clip(replace(scene, foreground=thing), people(1), *SIZE)
    taken = (clear.owner == 1) & (clip.owner == 0)
    assert taken.mean() > 0.02
    changed = np.abs(clip.frames.astype(int) - clear.frames).max(-1)
    assert (changed[taken] > 0).mean() > 0.95
    assert not ((clip.owner == 1) & (clear.owner == 0)).any()


def test_a_face_behind_a_pillar_is_not_visible():
    scene = plain(1, 2)
    thing = ForegroundSpec(kind="pillar", actor=0, x=scene.actors[0].x, seed=3)
    assert render_clip(scene, people(1), *SIZE).visible.all()
    assert not render_clip(replace(scene, foreground=thing), people(1), *SIZE).visible.any()


def test_a_cut_changes_the_view_at_once_and_close_views_are_close():
    cut = Cut(share=0.5, view="close", actor=1, turn=0.4)
    scene = replace(plain(2), camera=CameraPlan(cut=cut))
    clip = render_clip(scene, people(2), *SIZE)
    steps = np.abs(np.diff(clip.landmarks, axis=1)).max((0, 2, 3))
    assert steps.argmax() == 2
    assert steps[2] > 5 * np.delete(steps, 2).max()
    heights = np.ptp(clip.landmarks[1, ..., 1], axis=-1)
    assert heights[3:].min() > 1.08 * heights[:3].max()  # big hair keeps a view from coming nearer
    assert clip.visible[1].all()


def test_a_side_view_turns_faces_in_the_picture():
    cut = Cut(share=0.5, view="side", actor=0, turn=0.4)
    clip = render_clip(replace(plain(1), camera=CameraPlan(cut=cut)), people(1), *SIZE)
    assert np.allclose(clip.yaw[0, 2] - clip.yaw[0, 3], 0.4, atol=0.2)


@pytest.mark.parametrize(("move", "sign"), [("pan_left", 1), ("pan_right", -1)])
def test_people_move_against_the_camera(move, sign):
    scene = replace(plain(1), camera=CameraPlan(move=move, amount=0.8))
    across = trace_landmarks(scene, people(1), *SIZE)[0, ..., 0].mean(-1)
    still = trace_landmarks(plain(1), people(1), *SIZE)[0, ..., 0].mean(-1)
    moved = (across - still) * sign
    assert (np.diff(moved) > 0).all()
    assert moved[0] < -5
    assert moved[-1] > 5


def test_captions_tell_what_happens_and_who_it_happens_to():
    scene = plain(2)
    walk = Walk(kind="front", start_dm=0, end_dm=2.8, arc_dm=1.5, times=(0.1, 0.9), other=1)
    cut = Cut(share=0.5, view="close", actor=1, turn=0.4)
    thing = ForegroundSpec(kind="plant", actor=0, x=0.0, seed=1)
    scene = with_walk(replace(scene, camera=CameraPlan(cut=cut), foreground=thing), 0, walk)
    specs = [person.spec for person in people(2)]
    for seed in range(FIRST, FIRST + 12):
        text = caption(scene, specs, ["ana", "ben"], seed)
        first = next(s for s in text.split(". ") if s.count("@ana") == 1 and "right" in s)
        assert "@ben" in first
        assert "plant" in text
        assert "cut" in text.lower()


def test_captions_name_changed_clothes_and_keep_to_their_length():
    specs = [person.spec for person in people(4)]
    telling = Telling(dressed=frozenset({2}), max_words=80)
    for seed in range(FIRST, FIRST + 30):
        text = caption(plain(4), specs, ["a1", "b2", "c3", "d4"], seed, telling)
        own = next(s for s in text.split(". ") if "@c3" in s and "@a1" not in s)
        assert specs[2].clothes.colour in own
        assert len(text.split()) <= 84


def test_other_clothes_change_the_clothes_and_nothing_else():
    worn = people(1)[0]
    for seed in range(4):
        clothes = sample_other_clothes(np.random.default_rng(seed), worn.spec.clothes)
        assert clothes.colour != worn.spec.clothes.colour
        other = dress(worn, clothes)
        assert replace(other.spec, clothes=worn.spec.clothes) == worn.spec
        one, two = (render_portrait(p, FIRST, 96, neutral=True) for p in (worn, other))
        assert np.array_equal(one.landmarks, two.landmarks)
        both = one.face_mask & two.face_mask
        assert np.abs(one.image[both].astype(int) - two.image[both]).mean() < 3
        below = slice(84, None)
        assert np.abs(one.image[below].astype(int) - two.image[below]).mean() > 8


def test_four_people_all_fit_with_faces_that_can_be_read():
    for seed in range(FIRST, FIRST + 4):
        clip = render_clip(sample_scene(seed, 4, 1), people(4))
        assert clip.visible.sum() >= 3
        eyes = np.linalg.norm(clip.landmarks[:, 0, 0] - clip.landmarks[:, 0, 2], axis=-1)
        assert np.median(eyes) > 20

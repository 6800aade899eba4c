"""Who is in a benchmark, what the generator is given, and what the judge sees."""

from dataclasses import replace

import numpy as np
import pytest

from idvid.bench.photos import CHOICES, MOST_PHOTOS, SMALL_PX, USUAL
from idvid.bench.scenes import make_scenes
from idvid.bench.settings import Stage
from idvid.bench.watch import watch
from idvid.faces.embed import load_judge
from idvid.metrics.expression import turns
from idvid.people.captions import vocabulary, words_of
from idvid.people.seeds import split_of
from idvid.types import Clip


def test_the_judge_never_compares_with_a_photo_that_was_given(cast):
    for member in cast:
        given = {photo.photo_index for photo in member.photos}
        assert len(given) == MOST_PHOTOS
        assert given.isdisjoint(photo.photo_index for photo in member.held_out)
        assert split_of(member.person.spec.seed) == "test"


def test_scenes_take_people_in_turn_and_no_two_clips_share_noise(cast):
    trio = [replace(cast[k % 2], index=k) for k in range(5)]
    scenes = make_scenes(trio, Stage(people=5, pairs=2, trios=1, seconds=1.0, seeds=(0, 4)))
    assert [[m.index for m in scene.members] for scene in scenes[:3]] == [[0, 1], [2, 3], [0, 1, 2]]
    assert len({scene.seed for scene in scenes}) == len(scenes) == 6
    assert all(split_of(scene.spec.seed) == "test" for scene in scenes)
    assert [len(scene.spec.actors) for scene in scenes] == [2, 2, 3] * 2


def test_the_plain_caption_names_everybody_and_says_nothing_of_looks(scene):
    text = scene.plain_caption()
    words = words_of(text)
    assert words <= vocabulary()
    assert all(f"@{name}" in text.lower() for name in scene.names)
    assert not words & {"hair", "man", "woman", "beard", "glasses", "wearing"}
    assert "left" in words
    assert "right" in words


@pytest.mark.parametrize(
    ("choice", "count"),
    [("one", 1), ("two", 2), ("three", 3), ("five", 5), ("eight", 8), ("one_angle", 3)],
)
def test_a_choice_of_photos_gives_so_many_of_them(cast, choice, count):
    chosen = CHOICES[choice](cast[0].photos)
    assert len(chosen) == len({photo.photo_index for photo in chosen}) == count
    assert set(chosen) <= set(cast[0].photos)


def test_several_angles_spread_wider_than_one(cast):
    for member in cast:
        spread = {}
        for choice in ("one_angle", "several_angles"):
            chosen = CHOICES[choice](member.photos)
            spread[choice] = float(np.ptp(turns([photo.face for photo in chosen])[:, 0]))
        assert spread["several_angles"] > spread["one_angle"]


@pytest.mark.parametrize("choice", ["dark", "blurred", "small"])
def test_spoilt_photos_are_worse_and_their_landmarks_still_fit(cast, choice):
    judge = load_judge()
    for good, bad in zip(cast[1].photos[:USUAL], CHOICES[choice](cast[1].photos), strict=True):
        alike = judge.embed([bad.image], [bad.face])[0] @ good.embedding
        assert 0.3 < alike < 0.99  # the same face, and not as good
        if choice == "dark":
            assert bad.image.mean() < 0.5 * good.image.mean()
        if choice == "small":
            assert bad.face.width_px == pytest.approx(SMALL_PX, rel=0.1)


def test_the_judge_knows_real_renders_and_sees_that_strangers_are_others(cast, scene):
    galleries = [member.gallery for member in cast]
    clip = scene.render()
    seen = watch(scene, clip, galleries)
    assert [score.person for score in seen.scores] == [0, 1]
    for score, faces in zip(seen.scores, seen.faces, strict=True):
        found = [face for face in faces if face is not None]
        assert score.presence == len(found) / len(clip.frames)
        assert score.presence > 0.4  # one of them turns away
        assert score.nearest > 0.9
        assert score.swap_rate == 0
    strangers = watch(scene, clip, [-gallery for gallery in galleries[:1]] + galleries[1:])
    assert strangers.scores[0].nearest == 0  # whoever it resembles, it is not this gallery
    nobody = watch(scene, Clip(frames=np.zeros_like(clip.frames), fps=12.0), galleries)
    assert [(s.presence, s.id_sim, s.nearest) for s in nobody.scores] == [(0.0, None, None)] * 2

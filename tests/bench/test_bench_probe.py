"""Probes, what they learn from, and what is read from a clip."""

import numpy as np
import pytest

from idvid.bench import crops
from idvid.bench.attributes import (
    CLOTHES,
    HAIR_COLOUR,
    HAIR_STYLE,
    HEAD,
    PERSON_CLASSES,
    POSITION,
    SCENE_CLASSES,
    asked_of_person,
)
from idvid.bench.conv_probe import fit_conv
from idvid.bench.lessons import render_lessons, repainted
from idvid.bench.probe import fit
from idvid.bench.prompt import chance
from idvid.bench.readers import Answer, answers, load_probes, save_probes
from idvid.bench.watch import watch
from idvid.people.motion import ACTIONS
from idvid.people.spec import CLOTH_COLOURS, HAIR_COLOURS, HAIR_STYLES
from idvid.types import Clip

CLASSES = ("left", "right", "up")


def clusters(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    centres = np.random.default_rng(9).normal(size=(3, 30))
    values = centres[labels] + rng.normal(scale=0.7, size=(count, 30))
    return values.astype(np.float32), [CLASSES[i] for i in labels]


def test_a_probe_learns_what_is_there_and_nothing_from_noise():
    values, labels = clusters(300, 0)
    unseen, truth = clusters(300, 1)
    probe = fit(values, labels, CLASSES)
    right = [probe.read(row[None]) == label for row, label in zip(unseen, truth, strict=True)]
    assert np.mean(right) > 0.9
    np.testing.assert_allclose(probe.odds(unseen).sum(1), 1, rtol=1e-5)
    blind = fit(np.random.default_rng(2).normal(size=(300, 30)).astype(np.float32), labels, CLASSES)
    guessed = [blind.read(row[None]) == label for row, label in zip(unseen, truth, strict=True)]
    assert 0.1 < np.mean(guessed) < 0.5


def test_the_same_data_gives_the_same_probe_and_a_file_keeps_it(tmp_path):
    values, labels = clusters(60, 0)
    one, two = fit(values, labels, CLASSES), fit(values, labels, CLASSES)
    assert np.array_equal(one.odds(values), two.odds(values))
    classes = PERSON_CLASSES | SCENE_CLASSES
    probes = {name: fit(values, list(own[:1]) * 60, own) for name, own in classes.items()}
    pictures, answers = stripes(60, 0)
    names = {"up": "smiling", "right": "sad"}
    seen = [names[answer] for answer in answers]
    one, two = (fit_conv(pictures, seen, classes["expression"]) for _ in range(2))
    assert all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)
    save_probes(probes | {"expression": one}, tmp_path / "probes.safetensors")
    again = load_probes(tmp_path / "probes.safetensors")
    for name, probe in probes.items():
        assert again[name].classes == probe.classes
        if name != "expression":
            assert np.array_equal(again[name].odds(values), probe.odds(values))
    for row in pictures:
        assert again["expression"].read(row[None]) == one.read(row[None])


def stripes(count, seed):
    """Crops (count, 3 * 16 * 16) with stripes up or to the right, in noise, and which it is."""
    rng = np.random.default_rng(seed)
    is_up = rng.random(count) < 0.5
    rows = np.sin(np.arange(16) * np.pi / 2 + 0.4)[:, None] * np.ones(16)
    shapes = np.stack([rows if up else rows.T for up in is_up])[:, None].repeat(3, 1)
    noisy = shapes + rng.normal(scale=0.5, size=shapes.shape)
    return noisy.reshape(count, -1).astype(np.float32), ["right" if u else "up" for u in is_up]


def test_a_network_learns_shapes_wherever_they_lie():
    pictures, labels = stripes(200, 1)
    probe = fit_conv(pictures, labels, ("up", "right"))
    unseen, truth = stripes(100, 2)
    moved = np.roll(unseen.reshape(-1, 3, 16, 16), (1, 1), (2, 3)).reshape(100, -1)
    right = [probe.read(row[None]) == label for row, label in zip(moved, truth, strict=True)]
    assert np.mean(right) > 0.9
    together = probe.read(moved[[label == "up" for label in truth]])
    assert together == "up"


def test_every_word_of_the_renderer_has_a_class():
    assert set(HAIR_COLOUR) == set(HAIR_COLOURS)
    assert set(HAIR_STYLE) == set(HAIR_STYLES)
    assert set(CLOTHES) == set(CLOTH_COLOURS)
    assert set(HEAD) < set(ACTIONS)


def test_what_is_asked_is_what_the_prompt_says(cast, scene):
    for position, member in enumerate(cast):
        asked = asked_of_person(member.person.spec, scene.spec, position)
        assert set(asked) == set(PERSON_CLASSES)
        assert all(label is None or label in PERSON_CLASSES[a] for a, label in asked.items())


def test_repainting_changes_colours_and_what_is_asked_and_nothing_else(cast):
    person = cast[0].person
    other = repainted(person, np.random.default_rng(1))
    assert other.look.cloth != person.look.cloth
    assert other.look.iris == person.look.iris
    assert other.mesh is person.mesh
    brightness = person.spec.hair.brightness
    expected = np.array(HAIR_COLOURS[other.spec.hair.colour]) * brightness
    np.testing.assert_allclose(other.look.hair, expected)


def test_lessons_fill_every_attribute():
    lessons = render_lessons(24, scale=0.02)
    assert set(lessons.labels) == set(PERSON_CLASSES | SCENE_CLASSES)
    for name, features in lessons.features.items():
        assert len({row.shape for row in features}) == 1
        assert len(features) == len(lessons.labels[name])
        assert np.isfinite(np.stack(features)).all()


def test_a_nod_and_a_look_aside_have_other_features():
    base = np.array([[40, 20], [33, 20], [16, 20], [23, 20], [28, 32]], np.float32)
    time = np.arange(24) / 12
    nod, aside = (np.repeat(base[None], 24, 0) for _ in range(2))
    nod[:, 4, 1] += 3 * np.sin(2 * np.pi * 1.4 * time)
    aside[:, 4, 0] += 4
    still, nodding, turned = (
        crops.motion_features(p) for p in (base[None].repeat(24, 0), nod, aside)
    )
    assert np.abs(still[12:18]).max() < 1e-6  # spread and speed
    assert nodding[13] > 0.02  # spread of down
    assert abs(turned[0]) > 5 * abs(still[0])  # middle of aside
    assert abs(turned[12]) < 1e-6


def test_position_is_read_from_places_and_a_missing_face_is_no_answer(cast, scene):
    galleries = [member.gallery for member in cast]
    probes = {n: Constant(c) for n, c in (PERSON_CLASSES | SCENE_CLASSES).items()}
    clip = scene.render()

    def positions(frames):
        seen = watch(scene, Clip(frames=frames, fps=12.0), galleries)
        found = answers(probes, scene, seen)
        return [(a.asked, a.read) for a in found if a.attribute == POSITION]

    assert positions(clip.frames) == [("0", "0"), ("1", "1")]
    mirrored = np.ascontiguousarray(clip.frames[:, :, ::-1])
    assert positions(mirrored) == [("0", "1"), ("1", "0")]
    assert positions(np.zeros_like(clip.frames)) == [("0", None), ("1", None)]


class Constant:
    """A probe that always answers its first class."""

    def __init__(self, classes):
        self.classes = classes

    def read(self, features):
        assert features.ndim == 2
        return self.classes[0]


def test_chance_is_the_best_constant_answer():
    found = [
        Answer(person=k, attribute="light", asked=label, read=None)
        for k, label in enumerate(("soft", "soft", "sunny", "warm"))
    ]
    assert chance(found, "light") == pytest.approx(0.5)
    assert chance(found, "speech") is None
    assert found[0].is_right is None

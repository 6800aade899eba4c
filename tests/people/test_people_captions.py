"""Captions are deterministic, true to the scene graph, and stay in their vocabulary."""

from dataclasses import replace

import pytest

from idvid.errors import InputError
from idvid.people import sample_person, sample_scene
from idvid.people.captions import caption, describe_person, vocabulary, words_of

FIRST = 950_000
NAMES = ("Ana", "Ben", "Chen")


def scene_and_people(seed):
    scene = sample_scene(seed)
    return scene, [sample_person(FIRST + (seed + i) % 49_000) for i in range(len(scene.actors))]


def test_every_word_of_500_captions_is_in_the_vocabulary():
    said = set()
    for seed in range(FIRST, FIRST + 500):
        scene, people = scene_and_people(seed)
        said |= words_of(caption(scene, people, NAMES[: len(people)], seed))
        said |= words_of(describe_person(people[0]))
    assert said <= vocabulary()
    assert len(said) > 0.85 * len(vocabulary())
    assert 250 <= len(vocabulary()) <= 400


def test_captions_follow_from_the_seed_and_vary():
    scene, people = scene_and_people(FIRST + 1)
    names = NAMES[: len(people)]
    assert caption(scene, people, names, FIRST) == caption(scene, people, names, FIRST)
    variants = {caption(scene, people, names, FIRST + i) for i in range(40)}
    assert len(variants) > 35


def test_every_name_is_said_as_a_handle():
    for seed in range(FIRST, FIRST + 50):
        scene, people = scene_and_people(seed)
        text = caption(scene, people, NAMES[: len(people)], seed)
        for name in NAMES[: len(people)]:
            assert f"@{name.lower()}" in text


def test_captions_are_sentences_without_holes():
    for seed in range(FIRST, FIRST + 200):
        scene, people = scene_and_people(seed)
        text = caption(scene, people, NAMES[: len(people)], seed)
        assert "{" not in text
        assert "  " not in text
        assert text.endswith(".")
        assert not [hole for hole in (" ,", ",,", ", .", " a a ", "is and") if hole in text]


def test_description_says_what_is_there():
    spec = replace(sample_person(FIRST), masculinity=1.0, age=0.1, beard="full")
    spec = replace(spec, hair=replace(spec.hair, style="side_parted", colour="black"))
    text = describe_person(spec)
    assert text.startswith("a man with short black hair")
    assert "a full beard" in text
    assert spec.clothes.colour in text


def test_numbers_of_people_must_fit():
    scene = sample_scene(FIRST, 2)
    with pytest.raises(InputError, match="2 people"):
        caption(scene, [sample_person(FIRST)], ["Ana"], FIRST)

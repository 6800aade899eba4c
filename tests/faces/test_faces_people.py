"""The judge on people rendered now, with test seeds: detection and identity still hold."""

import numpy as np
import pytest

from idvid.faces.quality import check_references
from idvid.people import build_person, render_portrait, sample_person
from idvid.types import Character

SEEDS = (950_101, 950_102, 950_103)


@pytest.fixture(scope="module")
def check():
    characters = []
    for seed in SEEDS:
        person = build_person(sample_person(seed))
        shots = [render_portrait(person, seed + i, 192, neutral=i == 0).image for i in range(3)]
        characters.append(Character(name=str(seed), photos=tuple(shots)))
    return check_references(tuple(characters))


def test_rendered_portraits_are_usable_references(check):
    serious = {finding.code for finding in check.findings} - {"turned"}
    assert serious == set()
    assert all(len(faces) == 3 for faces in check.references)


def test_rendered_people_are_nearest_to_themselves(check):
    vectors = np.concatenate(check.galleries())
    cosines = vectors @ vectors.T - 2 * np.eye(len(vectors))
    assert (cosines.argmax(axis=1) // 3 == np.arange(len(vectors)) // 3).all()

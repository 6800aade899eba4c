from dataclasses import replace

import numpy as np
import pytest

from idvid.faces.assign import assign
from idvid.faces.types import Face, FaceObservation

ANA, BOB, EVE = np.eye(3, dtype=np.float32)
GALLERIES = (ANA[None], BOB[None])
FACE = Face(
    box=np.array([0, 0, 40, 40], np.float32), landmarks=np.zeros((5, 2), np.float32), score=1.0
)


def _seen(vector, track=0):
    vector = np.asarray(vector, np.float32)
    return FaceObservation(face=FACE, embedding=vector / np.linalg.norm(vector), track=track)


def test_faces_go_to_whom_they_look_like_in_any_order():
    frames = [[_seen(ANA), _seen(BOB, 1)], [_seen(BOB, 1), _seen(ANA)]]
    assert assign(frames, GALLERIES).indices == ((0, 1), (1, 0))


def test_permuting_characters_permutes_the_columns():
    generator = np.random.default_rng(900000)
    galleries = [generator.normal(size=(2, 3)) for _ in range(3)]
    galleries = [
        (g / np.linalg.norm(g, axis=1, keepdims=True)).astype(np.float32) for g in galleries
    ]
    frames = [[_seen(generator.normal(size=3), track) for track in range(3)] for _ in range(20)]
    straight = assign(frames, galleries).indices
    order = [2, 0, 1]
    permuted = assign(frames, [galleries[i] for i in order]).indices
    assert permuted == tuple(tuple(row[i] for i in order) for row in straight)
    assert any(index is not None for row in straight for index in row)


def test_the_best_photo_of_a_gallery_counts():
    gallery = np.stack([EVE, ANA])
    assert assign([[_seen(ANA)]], (gallery,)).own_similarity(0, 0) == pytest.approx(1.0)


def test_the_sum_decides_not_the_first_come():
    torn = _seen(0.75 * ANA + 0.66 * BOB)  # nearest to Ana, but Ana has a better face
    assert assign([[torn, _seen(ANA, 1)]], GALLERIES).indices == ((1, 0),)


def test_strangers_are_rejected_and_nobody_gets_two_faces():
    assert assign([[_seen(EVE)]], GALLERIES).indices == ((None, None),)
    assert assign([[_seen(ANA), _seen(ANA, 1)]], GALLERIES).indices[0][1] is None
    assert assign([[]], GALLERIES).indices == ((None, None),)
    assert assign([[]], GALLERIES).own_similarity(0, 1) is None


def test_a_swap_within_a_track_stays_a_swap():
    frames = [[_seen(ANA, 0), _seen(BOB, 1)]] * 5 + [[_seen(BOB, 0), _seen(ANA, 1)]] * 5
    assert assign(frames, GALLERIES).indices == ((0, 1),) * 5 + ((1, 0),) * 5


def test_only_a_single_unrecognised_frame_is_bridged():
    weak = _seen(0.2 * ANA + 0.1 * BOB + EVE)
    frames = [[_seen(ANA)], [weak], [_seen(ANA)], [weak], [weak], [_seen(ANA)]]
    indices = [row[0] for row in assign(frames, GALLERIES).indices]
    assert indices == [0, 0, 0, None, None, 0]
    assert assign(frames, GALLERIES).own_similarity(1, 0) == pytest.approx(
        0.2 / np.sqrt(1.05), abs=1e-4
    )


@pytest.mark.parametrize(
    "spoil", [{"track": 7}, {"embedding": (0.1 * ANA + 0.2 * BOB + EVE) / np.sqrt(1.05)}]
)
def test_another_track_or_another_likeness_is_not_bridged(spoil):
    weak = replace(_seen(0.2 * ANA + EVE), **spoil)
    assert assign([[_seen(ANA)], [weak], [_seen(ANA)]], GALLERIES).indices[1] == (None, None)

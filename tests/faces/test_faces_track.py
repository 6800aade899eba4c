import numpy as np
import pytest

from idvid.faces.assign import assign
from idvid.faces.embed import load_judge
from idvid.faces.quality import check_references
from idvid.faces.track import PeopleFinder, find_people, overlap, tracks_of
from idvid.types import Character


@pytest.fixture(scope="module")
def observations(clip):
    return find_people(clip, load_judge())


@pytest.fixture(scope="module")
def galleries(photos):
    people = (900000, 900001)
    characters = tuple(Character(name=str(seed), photos=photos[seed]) for seed in people)
    return check_references(characters).galleries()


def test_overlap_of_boxes():
    a = np.array([0, 0, 10, 10], np.float32)
    assert overlap(a, a) == pytest.approx(1)
    assert overlap(a, a + 20) == 0
    assert overlap(a, np.array([5, 0, 15, 10], np.float32)) == pytest.approx(1 / 3)


def test_two_people_are_two_tracks_through_the_clip(observations, clip):
    tracks = tracks_of(observations)
    assert [track.frames for track in tracks] == [tuple(range(len(clip)))] * 2
    for track in tracks:
        faces = [observations[f][i].face for f, i in zip(track.frames, track.indices, strict=True)]
        steps = np.diff([face.landmarks.mean(0) for face in faces], axis=0)
        assert np.abs(steps).max() < 0.5 * faces[0].width_px


def test_frames_in_pieces_give_the_same(observations, clip):
    finder = PeopleFinder(load_judge())
    pieces = [*finder.add(clip[:5]), *finder.add(clip[5:6]), *finder.add(clip[6:])]
    assert [[o.track for o in frame] for frame in pieces] == [
        [o.track for o in frame] for frame in observations
    ]
    for piece, whole in zip(pieces, observations, strict=True):
        for a, b in zip(piece, whole, strict=True):
            assert np.array_equal(a.face.landmarks, b.face.landmarks)
            assert np.abs(a.embedding - b.embedding).max() < 1e-5


def test_everybody_is_named_from_their_photos_in_every_frame(observations, galleries):
    assignment = assign(observations, galleries)
    for frame, (left, right) in zip(observations, assignment.indices, strict=True):
        assert {left, right} == {0, 1}
        assert {frame[left].track, frame[right].track} == {0, 1}
    one_track = {
        frame[row[0]].track for frame, row in zip(observations, assignment.indices, strict=True)
    }
    assert len(one_track) == 1


def test_an_absent_person_is_not_found(observations, photos):
    (gallery,) = check_references((Character(name="Eve", photos=photos[900004]),)).galleries()
    found = [row[0] for row in assign(observations, (gallery,)).indices]
    assert found == [None] * len(found)


def test_a_face_that_left_for_long_starts_a_new_track(clip):
    blank = np.full((6, *clip.shape[1:]), 100, np.uint8)
    away = find_people(np.concatenate([clip[:2], blank, clip[2:4]]), load_judge())
    brief = find_people(np.concatenate([clip[:2], blank[:2], clip[2:4]]), load_judge())
    assert len(tracks_of(away)) == 4
    assert len(tracks_of(brief)) == 2

"""Who stands where: faces as boxes on a stage, with likeness given."""

import numpy as np
import pytest

from idvid.faces.types import Face, FaceObservation
from idvid.metrics.places import Sighting, place_characters
from idvid.metrics.tracklets import TrackletFinder, is_cut, thumbnail

FPS = 12.0
ANA, BO = np.array([0.8, 0.0]), np.array([0.0, 0.8])
STRANGER = np.array([0.1, 0.05])
STAGE = np.full((128, 224, 3), 90, np.uint8)


def box_at(x, width=32.0):
    return np.array([x - width / 2, 40, x + width / 2, 40 + width], np.float32)


def observed(x, track):
    face = Face(box=box_at(x), landmarks=np.zeros((5, 2), np.float32), score=1.0)
    return FaceObservation(face=face, embedding=np.zeros(2, np.float32), track=track)


def place(stage, pictures=None):
    """`stage` holds per frame the faces (x, track, likeness); returns likeness (T, C, C)."""
    finder, sightings = TrackletFinder(FPS), []
    for t, faces in enumerate(stage):
        picture = STAGE if pictures is None else pictures[t]
        tracklets = finder.follow(picture, [observed(x, track) for x, track, _ in faces])
        sightings += [
            Sighting(
                frame=t,
                tracklet=tracklet,
                similarity=likeness,
                embedding=np.zeros(2, np.float32),
                look=np.zeros(1, np.float16),
                turn=np.zeros(2, np.float32),
                landmarks=np.zeros((5, 2), np.float32),
            )
            for tracklet, (_, _, likeness) in zip(tracklets, faces, strict=True)
        ]
    placed, faces_per_frame = place_characters(sightings, len(stage), 2, FPS)
    likeness = np.array([s.similarity for s in sightings] + [[np.nan, np.nan]])
    return likeness[placed], faces_per_frame


def own(similarity, character):
    return similarity[:, character, character]


def test_an_exchange_half_way_pulls_both_curves_down():
    stage = [[(60, 0, ANA), (160, 1, BO)]] * 24 + [[(60, 0, BO), (160, 1, ANA)]] * 24
    similarity, _ = place(stage)
    for character in (0, 1):
        assert (own(similarity, character)[:24] == 0.8).all()
        assert (own(similarity, character)[24:] == 0.0).all()


@pytest.mark.parametrize("hidden", [0, 3, 8])
@pytest.mark.parametrize("tracks_are_confused", [False, True])
def test_walking_past_each_other_is_no_exchange(hidden, tracks_are_confused):
    """Bo is hidden behind Ana for some frames, and the tracks may come out the wrong way round."""
    stage = []
    for t in range(48):
        x = 40 + 3 * t
        past = t >= 24 and tracks_are_confused
        faces = [(x, 1 if past else 0, ANA)]
        if abs(t - 24) * 2 >= hidden:
            faces.append((224 - x, 0 if past else 1, BO))
        stage.append(faces)
    similarity, _ = place(stage)
    for character in (0, 1):
        curve = own(similarity, character)
        assert (curve[np.isfinite(curve)] == 0.8).all()
    assert np.isfinite(own(similarity, 0)).all()


def test_a_cut_lets_everybody_stand_elsewhere():
    stage = [[(60, 0, ANA), (160, 1, BO)]] * 12 + [[(60, 0, BO), (160, 1, ANA)]] * 12
    pictures = [STAGE] * 12 + [255 - STAGE] * 12
    similarity, _ = place(stage, pictures)
    assert (own(similarity, 0) == 0.8).all()
    assert (own(similarity, 1) == 0.8).all()


def test_a_face_lost_for_a_moment_comes_back_to_its_place_under_a_new_track():
    """Bo is away, so only the place can tell that the changed face was Ana's."""
    stage = [[(60, 0, ANA)]] * 24 + [[]] * 6 + [[(62, 5, BO)]] * 24
    similarity, _ = place(stage)
    assert np.isnan(own(similarity, 0)[24:30]).all()
    assert (own(similarity, 0)[30:] == 0.0).all()
    assert np.isnan(own(similarity, 1)).all()


def test_a_missed_detection_does_not_hand_the_other_s_place_over():
    """Both look like Ana; while hers is missed, the other stays Bo."""
    lookalike = np.array([0.6, 0.1])
    stage = [[(60, 0, ANA), (160, 1, lookalike)]] * 24
    stage[10:13] = [[(160, 1, lookalike)]] * 3
    similarity, _ = place(stage)
    assert np.isnan(own(similarity, 0)[10:13]).all()
    assert (own(similarity, 1) == 0.1).all()


def test_a_stranger_who_stays_is_measured_and_a_flicker_is_not():
    similarity, _ = place([[(60, 0, STRANGER)]] * 24)
    assert (own(similarity, 0) == 0.1).all()
    stage = [[(60, 0, ANA)]] * 24
    stage[5] = [(60, 0, ANA), (160, 1, STRANGER)]
    similarity, faces_per_frame = place(stage)
    assert np.isnan(own(similarity, 1)).all()
    assert (faces_per_frame == 1).all()


def test_nobody_at_all():
    similarity, faces_per_frame = place([[]] * 5)
    assert similarity.shape == (5, 2, 2)
    assert np.isnan(similarity).all()
    assert not faces_per_frame.any()


def test_a_cut_is_nearly_the_whole_picture_and_not_a_person():
    moved = STAGE.copy()
    moved[20:, 30:130] = 220
    assert not is_cut(thumbnail(STAGE), thumbnail(moved))
    assert is_cut(thumbnail(STAGE), thumbnail(255 - STAGE))
    assert thumbnail(STAGE[:7, :9]).shape == (16, 16, 3)

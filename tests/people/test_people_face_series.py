"""One person many times: the same face and light, other poses and expressions, true landmarks."""

import numpy as np
import pytest

from idvid.config import EXPRESSION
from idvid.errors import SeedError
from idvid.faces.detect import detect_faces
from idvid.people import build_person, render_face_series, sample_person

SEED = 950_000  # a test seed
COUNT, SIZE_PX = 8, 160


@pytest.fixture(scope="module")
def person():
    return build_person(sample_person(SEED))


@pytest.fixture(scope="module")
def series(person):
    return render_face_series(person, SEED, COUNT, SIZE_PX)


def test_pictures_landmarks_and_expressions_go_together(series):
    assert series.frames.shape == (COUNT, SIZE_PX, SIZE_PX, 3)
    assert series.frames.dtype == np.uint8
    assert series.mattes.shape == (COUNT, SIZE_PX, SIZE_PX)
    assert series.landmarks.shape == (COUNT, 5, 2)
    assert series.expression.shape == (COUNT, len(EXPRESSION))
    assert series.expression.std(0).max() > 0.1
    assert np.ptp(series.landmarks[:, 4, 0]) > 3


def test_the_judges_detector_finds_the_face_where_the_landmarks_say(series):
    found = [(detect_faces(f), p) for f, p in zip(series.frames, series.landmarks, strict=True)]
    distances = [
        np.linalg.norm(faces[0].landmarks - points, axis=1).mean()
        for faces, points in found
        if faces
    ]
    assert len(distances) >= COUNT // 2
    assert np.median(distances) < 0.03 * SIZE_PX


def test_mattes_show_the_person_and_nothing_behind(series):
    """Faces are inside, but for profiles; the upper corners are not; and what is outside stays the same."""
    assert 0 <= series.mattes.min() < series.mattes.max() <= 1
    columns, rows = series.landmarks.round().astype(int).transpose(2, 0, 1)
    assert (series.mattes[np.arange(COUNT)[:, None], rows, columns] > 0.95).mean() > 0.9
    behind = (series.mattes == 0).all(0)
    assert behind[:20, :20].all()
    assert 0.2 < behind.mean() < 0.8
    assert series.frames[:, behind].astype(float).std(0).max() < 1


def test_place_and_light_stay_while_the_face_moves(series):
    corners = series.frames[:, :6, :6].reshape(COUNT, -1, 3).astype(float)
    faces = series.frames[:, 60:120, 50:110].reshape(COUNT, -1, 3).astype(float)
    assert corners.std(0).mean() < 0.2 * faces.std(0).mean()


def test_the_same_seed_gives_the_same_series_and_another_one_another(person, series):
    again = render_face_series(person, SEED, COUNT, SIZE_PX)
    assert (again.frames == series.frames).all()
    assert (render_face_series(person, SEED + 1, COUNT, SIZE_PX).frames != series.frames).any()


def test_seeds_outside_the_range_are_refused(person):
    with pytest.raises(SeedError):
        render_face_series(person, 1_000_000, 1)

"""The formulas on numbers that can be checked by hand."""

import numpy as np
import pytest

from idvid.metrics import separation
from idvid.metrics.expression import expression_range
from idvid.metrics.identity import drift_15, drift_slope, id_sim, mean_found, presence, temporal

NAN = float("nan")


def unit(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_id_sim_is_the_nearest_photo_not_the_mean_one():
    gallery = unit(0, 90)
    assert id_sim(unit(90, 60), gallery) == pytest.approx([1.0, np.cos(np.deg2rad(30))])


def test_a_missing_face_lowers_presence_and_never_the_mean():
    series = np.array([0.8, NAN, 0.6, NAN])
    assert presence(series) == 0.5
    assert mean_found(series) == pytest.approx(0.7)
    assert np.isnan(id_sim(np.array([[NAN, NAN]]), unit(0))).all()


def test_never_found_is_none_not_zero():
    never = np.full(10, NAN)
    assert presence(never) == 0
    assert mean_found(never) is drift_15(never) is drift_slope(never, 12) is None
    assert temporal(np.full((10, 2), NAN)) is None
    assert presence(np.array([])) == 0
    assert drift_15(np.array([])) is None


def test_drift_15_compares_the_ends_of_the_clip_and_its_sign_is_loss():
    series = np.concatenate([np.full(3, 0.9), np.full(14, 0.1), np.full(3, 0.4)])
    assert drift_15(series) == pytest.approx(0.5)
    assert drift_15(series[::-1]) == pytest.approx(-0.5)
    series[0] = series[1] = NAN
    assert drift_15(series) == pytest.approx(0.5)
    series[2] = NAN
    assert drift_15(series) is None


def test_drift_slope_is_per_second_and_ignores_a_few_wild_frames():
    series = 0.9 - 0.1 * np.arange(48) / 12
    assert drift_slope(series, 12) == pytest.approx(-0.1)
    series[[5, 20, 33]] = -1.0
    series[40] = NAN
    assert drift_slope(series, 12) == pytest.approx(-0.1, abs=0.01)
    assert drift_slope(np.array([0.5, NAN]), 12) is None


def test_temporal_is_the_squared_step_and_never_spans_a_gap():
    assert temporal(unit(0, 60, 0)) == pytest.approx(1.0)
    faces = unit(0, 0, 60)
    faces[1] = NAN
    assert temporal(faces) is None


def test_margin_is_umo_s_for_a_right_face_and_negative_for_a_wrong_one():
    right, wrong = np.array([[0.8, 0.2]]), np.array([[0.2, 0.8]])
    assert separation.id_margin(right, 0) == pytest.approx(0.75)
    assert separation.id_margin(wrong, 0) == pytest.approx(-0.75)
    assert separation.id_margin(np.array([[-0.1, -0.3]]), 0) == 0
    assert separation.id_margin(np.array([[0.5, -0.5]]), 0) == 1


def test_swap_rate_counts_found_frames_only():
    similarity = np.array([[0.8, 0.1], [0.1, 0.8], [NAN, NAN], [0.2, 0.9]])
    assert separation.swap_rate(similarity, 0) == pytest.approx(2 / 3)
    assert separation.swap_rate(np.full((3, 2), NAN), 0) is None


def test_one_character_alone_has_no_separation():
    alone = np.array([[0.8], [0.7]])
    assert separation.id_margin(alone, 0) is separation.swap_rate(alone, 0) is None
    assert separation.bleed(alone, 0, [unit(0)]) is separation.floor([unit(0)], 0) is None


def test_bleed_is_zero_for_people_who_look_like_their_photos_however_alike_they_are():
    galleries = [unit(0, 10), unit(40, 50)]
    faces = unit(0, 10)
    similarity = np.stack([id_sim(faces, gallery) for gallery in galleries], axis=1)
    assert separation.bleed(similarity, 0, galleries) == pytest.approx(0)
    melted = unit(30, 30)
    similarity = np.stack([id_sim(melted, gallery) for gallery in galleries], axis=1)
    assert separation.bleed(similarity, 0, galleries) > 0.1


def test_bands():
    assert separation.ceiling(unit(0)) is None
    assert separation.ceiling(unit(0, 60, 60)) == pytest.approx((0.5 + 1 + 1) / 3)
    assert separation.floor([unit(0), unit(60), unit(90)], 0) == pytest.approx(0.25)


def test_occm_falls_for_too_few_and_for_too_many():
    assert separation.occm(np.array([2, 2]), 2) == 100
    assert separation.occm(np.array([1]), 2) == pytest.approx(100 * np.exp(-0.5))
    assert separation.occm(np.array([3]), 2) == separation.occm(np.array([1]), 2)
    assert separation.occm(np.array([], dtype=int), 2) == 0


def test_expression_range_is_what_turning_the_head_does_not_explain():
    rng = np.random.default_rng(0)
    turns = rng.normal(size=(40, 2)).astype(np.float32)
    rigid = (turns @ rng.normal(size=(2, 30))).astype(np.float32)
    moving = rigid + rng.normal(scale=0.5, size=(40, 30))
    assert expression_range(rigid, turns) < 1e-5
    assert expression_range(moving, turns) > 0.2
    assert expression_range(rigid[:1], turns[:1]) is None
    assert expression_range(rigid[[0, 0, 0]], turns[[0, 0, 0]]) < 1e-9

"""The laws of the drift report on rendered clips of synthetic people."""

import json
from dataclasses import replace

import numpy as np
import pytest

from idvid.errors import InputError
from idvid.metrics.report import (
    DriftMeter,
    from_dict,
    to_dict,
    write_csv,
    write_json,
)

HALF = 12


@pytest.fixture(scope="module")
def true_report(true_frames, measure):
    return measure(true_frames)


@pytest.fixture(scope="module")
def swap_report(true_frames, exchanged_frames, measure):
    return measure(np.concatenate([true_frames[:HALF], exchanged_frames[HALF:]]))


def values(drift):
    return np.array([np.nan if value is None else value for _, value in drift.series])


def test_the_true_people_score_near_their_ceiling(true_report):
    for drift in true_report.characters:
        assert drift.presence > 0.9
        assert drift.id_sim_mean > drift.ceiling - 0.15
        assert abs(drift.drift_15) < 0.12
        assert drift.swap_rate == 0
        assert drift.id_margin > 0.5
        assert abs(drift.bleed) < 0.15
    assert true_report.occm > 90
    assert true_report.frames == len(true_report.characters[0].series) == 2 * HALF


def test_somebody_else_scores_far_nearer_the_floor_than_the_ceiling(true_frames, measure):
    """Ana stands where Cy was asked for."""
    drift = next(d for d in measure(true_frames, ("Cy", "Bo")).characters if d.name == "Cy")
    assert drift.id_sim_mean < (drift.floor + drift.ceiling) / 2
    assert drift.presence > 0.9


def test_an_exchange_half_way_shows_as_a_swap(swap_report):
    for drift in swap_report.characters:
        assert drift.swap_rate == pytest.approx(0.5, abs=0.1)
        assert np.nanmean(values(drift)[:HALF]) > np.nanmean(values(drift)[HALF:]) + 0.3
        assert drift.drift_15 > 0.3
        assert drift.bleed > 0.2


def test_missing_faces_lower_presence_and_never_the_mean(true_frames, true_report, measure):
    gone = true_frames.copy()
    gone[8:14, :, :112] = 128  # Ana's half of the picture
    ana, bo = measure(gone).characters
    before = true_report.characters[0]
    missing = [value is None for _, value in ana.series]
    assert all(missing[8:14])
    assert ana.presence == pytest.approx(before.presence - 6 / len(missing))
    kept = np.delete(values(before), range(8, 14))
    assert ana.id_sim_mean == pytest.approx(np.nanmean(kept), abs=0.01)
    assert bo.presence == true_report.characters[1].presence


def test_a_slow_morph_shows_as_drift(true_frames, exchanged_frames, measure):
    weight = np.linspace(0, 1, len(true_frames))[:, None, None, None]
    morph = (true_frames * (1 - weight) + exchanged_frames * weight).astype(np.uint8)
    for drift in measure(morph).characters:
        assert drift.drift_15 > 0.3
        assert drift.drift_slope < -0.15


def test_permuting_the_characters_permutes_the_report(true_frames, true_report, measure):
    permuted = measure(true_frames, ("Bo", "Ana"))
    assert permuted.characters == true_report.characters[::-1]
    assert permuted.occm == true_report.occm


def test_points_that_stream_in_are_the_report(true_frames, true_report, references):
    meter = DriftMeter({name: references[name] for name in ("Ana", "Bo")}, 12.0)
    streamed = {"Ana": [], "Bo": []}
    for start in (0, 13, 19):
        end = {0: 13, 13: 19, 19: 24}[start]
        for name, points in meter.add(true_frames[start:end]).items():
            assert len(points) == end - start
            streamed[name] += points
    report = meter.report()
    for drift, whole in zip(report.characters, true_report.characters, strict=True):
        assert tuple(streamed[drift.name]) == drift.series
        assert values(drift) == pytest.approx(values(whole), abs=1e-4, nan_ok=True)


def test_a_lively_face_has_more_range_than_a_rigid_one(true_frames, lively_frames, measure):
    rigid = measure(np.repeat(true_frames[:1], HALF, axis=0)).characters
    lively = measure(lively_frames).characters
    assert all(drift.expression_range < 0.01 for drift in rigid)
    assert all(drift.expression_range > 0.05 for drift in lively)


def test_one_character_alone_and_a_clip_without_faces(true_frames, measure):
    (ana,) = measure(true_frames[:3], ("Ana",)).characters
    assert ana.swap_rate is ana.id_margin is ana.bleed is ana.floor is None
    assert ana.id_sim_mean > 0.5
    report = measure(np.full((5, 64, 96, 3), 120, np.uint8))
    assert report.occm == pytest.approx(100 / np.e)
    for drift in report.characters:
        assert drift.presence == 0
        assert drift.id_sim_mean is drift.expression_range is drift.temporal is None
        assert [value for _, value in drift.series] == [None] * 5


def test_report_json_has_the_public_shape_and_comes_back(swap_report, tmp_path):
    write_json(swap_report, tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert list(read) == ["fps", "frames", "judge", "occm", "characters"]
    assert set(read["judge"]) == {"name", "sha256"}
    assert list(read["characters"][0]) == [
        *("name", "presence", "id_sim_mean", "drift_15", "drift_slope", "temporal", "id_margin"),
        *("swap_rate", "bleed", "expression_range", "ceiling", "floor", "series"),
    ]
    assert from_dict(read) == swap_report
    assert from_dict(to_dict(swap_report)) == swap_report


@pytest.mark.parametrize(
    "broken", [{}, {"fps": 12}, {"characters": [1]}, {"characters": [{"name": "x"}]}]
)
def test_a_broken_report_is_refused_in_a_sentence(broken):
    with pytest.raises(InputError, match="not a drift report"):
        from_dict(broken)


def test_csv_has_a_row_per_frame_and_no_formula(swap_report, tmp_path):
    ana, bo = swap_report.characters
    gap = replace(ana, name="=1+1", series=((0.0, None), *ana.series[1:]))
    write_csv(replace(swap_report, characters=(gap, bo)), tmp_path / "drift.csv")
    lines = (tmp_path / "drift.csv").read_text("utf-8").splitlines()
    assert lines[0] == "frame,time_s,character,id_sim"
    assert lines[1] == "0,0.000000,'=1+1,"
    assert len(lines) == 1 + 2 * swap_report.frames


def test_impossible_requests_are_refused(references):
    with pytest.raises(InputError, match="no character"):
        DriftMeter({}, 12.0)
    with pytest.raises(InputError, match="'Ana' has no usable"):
        DriftMeter({"Ana": ()}, 12.0)
    for fps in (0.0, float("nan"), float("inf"), -1.0):
        with pytest.raises(InputError, match="frames per second"):
            DriftMeter({"Ana": references["Ana"]}, fps)

import json

from idvid.types import CharacterDrift, DriftReport
from idvid.ui.drift_panel import COLORS, comparison_value, panel_value


def drift(name: str, **known) -> CharacterDrift:
    unknown = dict.fromkeys(
        [
            "id_sim_mean",
            "drift_15",
            "drift_slope",
            "temporal",
            "id_margin",
            "swap_rate",
            "bleed",
            "expression_range",
            "ceiling",
            "floor",
        ]
    )
    return CharacterDrift(name=name, **{"presence": 0.0, "series": (), **unknown, **known})


def report(*characters: CharacterDrift) -> DriftReport:
    return DriftReport(
        fps=12.0,
        frames=24,
        judge_name="judge",
        judge_sha256="0" * 64,
        occm=100.0,
        characters=characters,
    )


def test_the_value_survives_the_way_to_the_browser():
    value = panel_value(report(drift("Ana", series=((0.0, 0.9), (0.1, None)))), 4.0)
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_a_face_not_found_stays_a_gap_and_no_number():
    value = panel_value(report(drift("Ana", series=((0.0, 0.9), (0.1, None), (0.2, 0.8)))), 4.0)
    assert value["characters"][0]["points"] == [[0.0, 0.9], [0.1, None], [0.2, 0.8]]


def test_the_axis_is_as_long_as_the_whole_clip_from_the_first_window_on():
    assert panel_value(report(drift("Ana", series=((0.0, 0.9),))), 30.0)["seconds"] == 30.0


def test_eight_people_have_eight_colours_and_keep_their_order():
    names = [f"Person {i}" for i in range(8)]
    value = panel_value(report(*(drift(name) for name in names)), 4.0)
    assert [each["name"] for each in value["characters"]] == names
    assert len({each["color"] for each in value["characters"]}) == len(COLORS) == 8


def test_bands_and_summary_are_the_report_s():
    known = drift("Ana", ceiling=0.8, floor=0.1, id_sim_mean=0.7, drift_15=0.05, swap_rate=0.02)
    (value,) = panel_value(report(known), 4.0)["characters"]
    assert (value["ceiling"], value["floor"]) == (0.8, 0.1)
    assert (value["mean"], value["drift"], value["swap"]) == (0.7, 0.05, 0.02)


def test_a_comparison_has_a_curve_per_method_and_the_photos_own_bands():
    reports = {
        method: report(
            drift("Ana", series=((0.0, value), (0.1, None)), ceiling=0.8, id_sim_mean=value),
            drift("Ben", series=((0.0, 0.2),)),
        )
        for method, value in (("none", 0.1), ("locks", 0.7))
    }
    value = comparison_value(reports, 4.0)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["seconds"] == 4.0
    ana, ben = value["characters"]
    assert (ana["name"], ana["ceiling"], ben["name"], ben["ceiling"]) == ("Ana", 0.8, "Ben", None)
    assert [c["label"] for c in ana["curves"]] == ["Text only", "Identity lock"]
    assert [c["points"] for c in ana["curves"]] == [
        [[0.0, 0.1], [0.1, None]],
        [[0.0, 0.7], [0.1, None]],
    ]
    assert [c["mean"] for c in ana["curves"]] == [0.1, 0.7]
    looks = {(c["color"], c["dash"]) for c in ana["curves"]}
    assert len(looks) == len({color for color, _ in looks}) == len({dash for _, dash in looks}) == 2

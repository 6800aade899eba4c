"""From the command line to the tables, with a tiny model."""

import json

import pytest

from idvid.bench.command import STAGES, call_of
from idvid.bench.figures import average, gain, share
from idvid.bench.quality import DRIFT, EDGES, PRESENCE, SWAP_TWO
from idvid.bench.settings import TEST
from idvid.bench.statistics import mean
from idvid.bench.watch import Score
from idvid.cli import main
from idvid.config import FEW_STEPS, FULL_STEPS
from idvid.errors import InputError
from idvid.people import sample_person

TINY = ("--people", "2", "--pairs", "1", "--trios", "0", "--seconds", "1", "--steps", "1")


def arguments(*words):
    import argparse

    from idvid.bench.command import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*words, "--out", "x"])


def test_the_issue_s_table_is_what_quality_measures_by_default():
    stage = call_of("quality", arguments("quality")).stage
    assert (stage.people, stage.pairs, stage.trios, stage.seconds) == (40, 20, 10, 10.0)


@pytest.mark.parametrize("name", STAGES)
def test_every_benchmark_s_own_stage_can_be_played(name):
    assert call_of(name, arguments(name)).against is None


def test_two_models_of_one_name_are_told_apart():
    call = call_of("quality", arguments("quality", "--model", "a/m", "--against", "b/m"))
    assert (call.contender.name, call.against.name) == ("A", "B")
    steps = arguments("quality", "--steps", "4", "--against", "b", "--against-steps", "12")
    call = call_of("quality", steps)
    assert (call.contender.settings.num_steps, call.against.settings.num_steps) == (4, 12)


def test_the_fast_model_meets_its_teacher_at_as_many_steps():
    words = arguments("quality", "--steps", "4", "--against", "b", "--against-full")
    call = call_of("quality", words)
    assert (call.contender.settings.few_steps, call.against.settings.few_steps) == (True, False)
    assert call.against.settings.num_steps == 4
    full = call_of("quality", arguments("quality", "--full")).contender.settings
    assert (full.few_steps, full.num_steps) == (False, FULL_STEPS)


def test_without_a_number_of_steps_it_is_what_suits_the_model():
    assert call_of("quality", arguments("quality")).contender.settings.num_steps == FEW_STEPS
    guided = arguments("quality", "--against", "b", "--against-guidance", "3")
    call = call_of("quality", guided)
    assert call.contender.settings.num_steps == FEW_STEPS
    assert call.against.settings.num_steps == FULL_STEPS


@pytest.mark.parametrize(
    "words",
    [
        ("--people", "1"),
        ("--people", "2"),  # and scenes of three
        ("--people", "101"),
        ("--pairs", "0", "--trios", "0"),
        ("--seconds", "0.5"),
        ("--seconds", "nan"),
        ("--strength", "2"),
        ("--steps", "0"),
        ("--against", "b", "--against-steps", "101"),
    ],
)
def test_numbers_without_sense_are_refused(words):
    with pytest.raises(InputError, match=r"choose|give|change"):
        call_of("quality", arguments("quality", *words))


def score(person, cast=2, **fields):
    names = ("id_sim", "nearest", "drift_15", "swap_rate", "bleed", "expression", "temporal")
    empty = dict.fromkeys(names)
    return Score(person=person, cast=cast, **{"presence": 1.0, **empty, **fields})


def test_figures_read_the_right_scenes_and_the_same_people():
    scores = [score(0, swap_rate=0.0), score(0, 3, swap_rate=1.0), score(1, id_sim=0.3)]
    assert average(scores, "swap_rate", 2).value == 0
    assert average(scores, "swap_rate", 3).value == 1
    truth = [score(0, id_sim=0.9), score(1, id_sim=0.6)]
    assert share(scores, truth, "id_sim").value == pytest.approx(0.5)
    assert gain(scores, truth, "id_sim").value == pytest.approx(-0.3)


def test_a_bar_is_reached_from_the_side_that_it_means():
    assert [PRESENCE.verdict(mean({0: v})) for v in (0.96, 0.97, 0.99)] == ["no", "yes", "stretch"]
    assert [DRIFT.verdict(mean({0: v})) for v in (0.04, 0.03, -0.2)] == ["no", "yes", "stretch"]
    assert [SWAP_TWO.verdict(mean({0: v})) for v in (0.02, 0.01, 0)] == ["no", "yes", "stretch"]
    assert PRESENCE.verdict(None) == "-"


def test_quality_prints_its_table_and_leaves_numbers_and_samples(tiny_folder, tmp_path, capsys):
    models = ("--model", str(tiny_folder), "--against", str(tiny_folder))
    assert main(["bench", "quality", *TINY, *models, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| presence | 0.000 [0.000, 0.000] n=2 |" in printed  # noise has no face
    assert "`id_sim` as a share of B's" in printed
    assert "`id_sim` minus B's" in printed
    written = json.loads((tmp_path / "quality.json").read_text())
    assert written["run"]["stage"]["pairs"] == 1
    pale, dark = written["skin"]["palest third"][0], written["skin"]["middle third"][0]
    melanin = [sample_person(TEST.people + i).skin.melanin for i in (pale, dark)]
    assert melanin == sorted(melanin)
    assert "| middle third (n=1) | real renders | 0.500 " in printed
    assert written["figures"]["A"]["`id_sim` of real renders (ceiling)"]["value"] > 0.4
    assert written["figures"]["A"][EDGES.name]["value"] > 0.2  # noise has edges too
    assert written["scores"]["A"] == written["scores"]["A"] | {"video_seconds": 1.0}
    assert (tmp_path / "sheet_A.webp").stat().st_size > 1000
    assert str(tmp_path) not in (tmp_path / "quality.json").read_text()


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A folder with probes for clips of a second, of too few lessons to be right."""
    from idvid.bench.readers import fit_probes, save_probes

    folder = tmp_path_factory.mktemp("probed")
    save_probes(fit_probes(12, scale=0.02), folder / "probes_12.safetensors")
    return folder


def test_prompt_says_how_good_its_probes_are_before_it_judges(tiny_folder, probed, capsys):
    words = ("bench", "prompt", *TINY, "--model", str(tiny_folder), "--out", str(probed))
    assert main(words) == 0
    header = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("| attribute"))
    places = [header.index(x) for x in ("validation", "these scenes", "model |")]
    assert places == sorted(places)
    figures = json.loads((probed / "prompt.json").read_text())["figures"]
    assert figures["real renders of these scenes"]["position"]["value"] == 1.0
    assert figures["model"]["position"] is None  # noise has no face
    assert 0 <= figures["model"]["light"]["value"] <= 1


@pytest.mark.slow
def test_claims_are_tried_on_every_arm(tiny_folder, probed, capsys):
    models = ("--model", str(tiny_folder), "--against", str(tiny_folder))
    assert main(["bench", "claims", *TINY, *models, "--out", str(probed)]) == 0
    printed = capsys.readouterr().out
    assert "Sweet spot of the strength" in printed
    assert "its rival" in printed
    written = json.loads((probed / "claims.json").read_text())
    assert {finding["verdict"] for finding in written["verdicts"]} == {"not shown"}
    assert (probed / "claims.png").stat().st_size > 20_000


def test_one_claim_alone_is_tried_without_probes(tiny_folder, tmp_path, capsys):
    models = ("--model", str(tiny_folder), "--against", str(tiny_folder))
    words = ("bench", "claims", *TINY, "--only", "training", *models, "--out", str(tmp_path))
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "its rival" in printed
    assert "Sweet spot" not in printed
    written = json.loads((tmp_path / "claims.json").read_text())
    assert set(written["scores"]) == {"real renders", "training"}
    assert not list(tmp_path.glob("probes*"))


def test_a_claim_that_does_not_exist_is_refused(tmp_path, capsys):
    assert main(["bench", "claims", "--only", "training", "--out", str(tmp_path)]) != 0
    assert "There is no claim 'training' here; choose among references" in capsys.readouterr().err


def test_speed_splits_the_time_and_knows_the_arithmetic(tiny_folder, tmp_path, capsys):
    words = ["bench", "speed", "--seconds", "1", "--steps", "2", "--model", str(tiny_folder)]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert "| denoise, per step | 2 |" in capsys.readouterr().out
    written = json.loads((tmp_path / "speed.json").read_text())
    stages, moments = written["stages"], written["seconds"]
    assert sum(stage["seconds"] for stage in stages.values()) <= moments["whole, measured"] + 0.01
    assert moments["first pictures"] < moments["whole, not measured"] + 0.01
    assert stages["denoise, per step"]["flops"] > 1e6
    assert stages["encode video"]["flops"] == 0

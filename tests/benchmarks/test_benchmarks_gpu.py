"""The GPU benchmark's logic at a tiny size: every arm runs, and the model is left as it was."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_arms import Arm, Timing, arms_of, operations, time_in_turn
from benchmarks.gpu_models import TINY, build, forward_inputs
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import TRANSFORMER

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu")
    words = ["--size", "tiny", "--model", "VACE-tiny", "--repeats", "1"]
    assert gpu.main([*words, "--out", str(out)]) == 0
    return out


def test_every_arm_is_in_the_table(result):
    found = json.loads((result / "gpu.json").read_text())
    arms = [arm.name for arm in arms_of(TINY, gpu.BACKENDS)]
    assert [(r["model"], r["arm"]) for r in found["steps"]] == [("VACE-tiny", a) for a in arms]
    for row in found["steps"]:
        is_kernel = row["arm"].startswith("attention ")
        assert row["seconds_per_step"] or (is_kernel and row["note"].startswith("left out: ")), row
    text = (result / "gpu.md").read_text()
    assert all(f"| VACE-tiny | {arm} |" in text for arm in arms)


def test_ours_draws_what_the_stock_pipeline_draws(result):
    whole = {row["arm"]: row for row in json.loads((result / "gpu.json").read_text())["whole"]}
    assert whole["ours"]["difference"] < 0.01  # of 255; the two round pixels in different ways
    assert whole["ours, few steps"]["steps"] == TINY.few_steps
    assert set(whole) == {"stock", "ours", "ours, few steps", "ours, TaylorSeer"}


def test_arms_leave_no_trace():
    transformer = build(TINY.models["T2V-tiny"][TRANSFORMER], CPU, torch.float32)
    values = forward_inputs(transformer, TINY, CPU)

    def predicted():
        with torch.no_grad(), transformer.cache_context("cond"):
            return transformer(**values, return_dict=False)[0]

    before, names = predicted(), [n for n, _ in transformer.named_modules()]
    arms = [
        arm for arm in arms_of(TINY, ("native",)) if arm.name != "compiled, identity, people: 2"
    ]
    timings = time_in_turn(transformer, values, arms, TINY, 1)
    assert all(timing.seconds for timing in timings.values())
    assert torch.equal(predicted(), before)
    assert [n for n, _ in transformer.named_modules()] == names


def test_a_kernel_that_is_not_there_is_left_out_with_its_reason():
    transformer = build(TINY.models["T2V-tiny"][TRANSFORMER], CPU, torch.float32)
    values = forward_inputs(transformer, TINY, CPU)
    assert operations(transformer, values) > 0
    wrong = Arm(name="wrong", options=VaceOptions(attention_backend="nonsense"))
    timings = time_in_turn(transformer, values, (Arm(name="stock"), wrong), TINY, 2)
    assert len(timings["stock"].seconds) == 2
    assert timings["wrong"] == Timing(failure="left out: ModelError")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_measures_nothing(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == gpu.NO_GPU
    assert not (tmp_path / "out").exists()

"""The GPU benchmark's logic at a tiny size: all of it runs, in its time, and leaves no trace."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu
from benchmarks.gpu_arms import compiled_arm, counted, kernel_arm, one_pass, people_arm
from benchmarks.gpu_models import TINY, build, forward_inputs
from benchmarks.gpu_order import PARTS, _cached, _fastest
from benchmarks.gpu_record import Found, Record
from benchmarks.gpu_steps import CHEAP_ARMS, RARE_ARMS, STOCK, Bench, Timing
from benchmarks.gpu_whole import at_30
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import TRANSFORMER

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu")
    assert gpu.main(["--size", "tiny", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def found(result):
    return json.loads((result / "gpu.json").read_text())


@pytest.fixture
def record(tmp_path):
    empty = Found(size="tiny", gpu="none", torch="", precision="float32", seconds=600)
    return Record(empty, tmp_path, lambda _: "", time.perf_counter())


def test_every_arm_is_in_the_table_with_its_time_or_its_reason(result, found):
    rows = {row["arm"]: row for row in found["steps"] if row["model"] == "VACE-tiny"}
    assert {arm.name for arm in (STOCK, *CHEAP_ARMS, *RARE_ARMS)} <= set(rows)
    assert any(name.startswith("compiled") for name in rows)
    for row in found["steps"]:
        is_kernel = row["arm"].startswith("attention ")
        assert row["seconds_per_pass"] or (is_kernel and "Error: " in row["note"]), row
        assert row["rate_share"] or not row["passes"]
    assert {row["model"] for row in found["steps"]} == set(TINY.models)
    text = (result / "gpu.md").read_text()
    assert all(f"| VACE-tiny | {arm} |" in text for arm in rows)


def test_nothing_else_is_left_out(found):
    may_fail = (", attention ", " in int8", " in nf4")  # a library that is not here, or no GPU
    names = [one["what"] for one in found["left_out"]]
    assert [n for n in names if not any(part in n for part in may_fail)] == []


def test_shut_gates_and_compiling_change_nothing(found):
    stock, *others = (row["error"] for row in found["errors"])
    assert stock == 0  # in float32 already
    assert others == pytest.approx([0] * len(others), abs=1e-6)
    (compiled,) = (r for r in found["steps"] if r["arm"] == "compiled")
    assert compiled["unlike_stock"] < 1e-6


def test_ours_draws_what_the_stock_pipeline_draws(found):
    whole = {row["arm"]: row for row in found["whole"] if row["model"] == "VACE-tiny"}
    assert whole["ours"]["difference"] < 0.01  # of 255; the two round pixels in different ways
    assert whole["ours, few steps"]["steps"] == TINY.few_steps
    assert whole["ours, next clip"]["difference"] == whole["ours"]["difference"]
    assert set(whole) == {
        "stock",
        "ours",
        "ours, next clip",
        "ours, few steps",
        "ours, TaylorSeer",
    }
    assert {row["plan"] for row in found["plans"]} >= {"gpu", "encoder-off"}


def test_the_large_models_run_as_a_whole(found):
    arms = [row["arm"] for row in found["whole"] if row["model"] == "T2V-tiny"]
    assert arms == ["stock", "identity, people: 2"]
    assert "VACE-tiny-2" in {row["model"] for row in found["plans"]}


def test_what_does_not_fit_into_the_time_is_listed(tmp_path):
    assert gpu.main(["--size", "tiny", "--seconds", "0", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["steps"] == found["whole"] == found["plans"] == []
    assert [one["why"][:7] for one in found["left_out"]] == ["no time"] * (1 + len(PARTS))
    assert "| part plans | no time: " in (tmp_path / "gpu.md").read_text()


def test_a_piece_that_fails_is_noted_in_short_and_the_next_one_goes_on(record):
    def fail():
        raise RuntimeError("out of memory\n" + 200 * "x")

    assert record.attempt("one", 0, fail) == "RuntimeError: out of memory " + 86 * "x"
    assert record.attempt("two", 0, lambda: None) == ""
    assert record.attempt("three", 1e9, fail).startswith("no time: 1000000000 s expected, ")
    assert [
        one["what"] for one in json.loads((record.out / "gpu.json").read_text())["left_out"]
    ] == [
        "one",
        "three",
    ]


@pytest.mark.parametrize("model", TINY.models)
def test_operations_of_a_few_blocks_say_those_of_all(model):
    transformer = build(TINY.models[model][TRANSFORMER], CPU, torch.float32)
    values = forward_inputs(transformer, TINY, CPU)
    with FlopCounterMode(display=False) as counter:
        one_pass(transformer, values)
    assert counted(transformer, values)[0] == counter.get_total_flops() > 0


def test_arms_leave_no_trace(record):
    bench = Bench("T2V-tiny", TINY, (CPU, torch.float32), record)
    transformer, values = bench.transformer, bench.values
    before, names = one_pass(transformer, values), [n for n, _ in transformer.named_modules()]
    cached = dataclasses.replace(STOCK, name="TaylorSeer", options=VaceOptions(cache="taylorseer"))
    arms = (people_arm(2), kernel_arm("native"), cached, compiled_arm(TINY, None))
    bench.count()
    bench.turns((STOCK, *arms, kernel_arm("nonsense")))
    failures = {n: t.failure for n, t in bench.timings.items() if t.failure}
    assert list(failures) == ["attention nonsense"], failures
    assert torch.equal(one_pass(transformer, values), before)
    assert [n for n, _ in transformer.named_modules()] == names
    assert bench.timings["attention nonsense"].failure.startswith("ModelError: ")
    assert bench.best((STOCK, kernel_arm("nonsense"))) is STOCK


def test_stock_is_timed_although_its_kernels_are_noted(record):
    bench = Bench("T2V-tiny", TINY, (CPU, torch.float32), record)
    bench.timings[STOCK.name] = Timing(kernels="aten._scaled_dot_product_flash_attention")
    bench.turns((STOCK,))
    assert bench.works(STOCK)


def test_a_compiler_that_is_missing_leaves_the_kernel(record, monkeypatch):
    bench = Bench("T2V-tiny", TINY, (CPU, torch.float32), record)
    bench.turns((STOCK,))
    bench.size = dataclasses.replace(TINY, compile_backend="nonsense")
    assert _fastest(bench) == VaceOptions()
    assert [one.what for one in record.found.left_out] == ["T2V-tiny, compiled"]


def test_a_cache_that_does_not_compile_is_measured_without(record):
    asked = []

    class Runs:
        def run(self, run):
            asked.append((run.name, run.options.compile_backend))
            if run.options.compile_backend:
                raise RuntimeError("no")

    bench = Bench("T2V-tiny", TINY, (CPU, torch.float32), record)
    _cached(bench, Runs(), VaceOptions(compile_backend="eager"))
    assert asked == [("ours, TaylorSeer", "eager"), ("ours, TaylorSeer, not compiled", None)]


def test_thirty_steps_of_a_cache_are_13_in_full():
    """Four, then steps 6, 9, ..., 30: as diffusers counts them with our settings."""
    gaps = (1.0, 1.0, 1.0, 0.1, 1.0, 0.1, 0.1)
    assert at_30(2 + 1 + sum(gaps), gaps, cached=True) == pytest.approx(2 + 13 + 17 * 0.1)
    assert at_30(2 + 8, (1.0,) * 7, cached=False) == pytest.approx(2 + 30)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_measures_nothing(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == gpu.NO_GPU
    assert not (tmp_path / "out").exists()

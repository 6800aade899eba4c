"""Parts of the GPU benchmark alone: their order, quantised plans, and what its short cuts leave alone."""

from __future__ import annotations

import gc
import time
import weakref

import pytest
import torch
from diffusers import AutoencoderKLWan

from benchmarks import gpu, gpu_order
from benchmarks.gpu_held import Models
from benchmarks.gpu_models import TINY
from benchmarks.gpu_plans import few_chunks
from benchmarks.gpu_quantised import _META, _read, parts_of, save_holes
from benchmarks.gpu_record import Found, Record
from idvid.models.wan_memory import VideoRequest
from idvid.pipeline.placement import load_arguments
from idvid.runtime import TEXT_ENCODER, TRANSFORMER
from tests.models.test_models_wan_memory import Count, meta

CPU = torch.device("cpu")
FRAMES = VideoRequest().latent_frames


@pytest.fixture
def models(tmp_path):
    empty = Found(size="tiny", gpu="none", torch="", precision="float32", seconds=600)
    record = Record(empty, tmp_path, lambda _: "", time.perf_counter())
    return Models(TINY, (CPU, torch.float32), record)


@pytest.fixture
def without(monkeypatch):
    """Parts that only say who they are."""
    ran = []
    for name in gpu_order.PARTS:
        monkeypatch.setitem(gpu_order.PARTS, name, lambda _, n=name: ran.append(n))
    return ran


def test_only_what_is_asked_runs_in_the_order_asked(without, tmp_path):
    arguments = ["--size", "tiny", "--out", str(tmp_path)]
    assert gpu.main([*arguments, "--only", "vace-14b, plans,vace-14b"]) == 0
    assert without == ["vace-14b", "plans"]
    gpu.main(arguments)
    assert without[2:] == list(gpu_order.PARTS)


def test_a_part_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--size", "tiny", "--only", "plans,speed"])
    assert "no part 'speed'; use passes, " in capsys.readouterr().err


def test_a_part_without_its_model_ends_alone(models, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("benchmarks.gpu_held.Bench", fail)
    gpu_order.measure(TINY, models.place, models.record, ("plans", "t2v-14b"))
    left = [one.what for one in models.record.found.left_out]
    assert left == ["VACE-tiny, build", "T2V-tiny, build"]


def test_what_is_let_go_is_gone_and_comes_back_equal(models):
    vace = models.vace()
    before = {n: t.clone() for n, t in vace.transformer.state_dict().items()}
    old = [weakref.ref(part) for part in (vace.transformer, models.runs().shared["vae"])]
    models.free()
    gc.collect()
    assert [ref() for ref in old] == [None, None]
    assert models.vace() is vace
    after = vace.transformer.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("part", ["plans", "few-steps", "t2v-14b", "vace-14b", "quantised"])
def test_nothing_is_held_after_a_part_that_needs_room_after_it(models, part):
    """The large models fit beside nothing else."""
    others = [id(model) for model in living()]  # of tests before this one
    gpu_order.measure(TINY, models.place, models.record, (part,))
    models.free()
    gc.collect()
    assert [type(model).__name__ for model in living() if id(model) not in others] == []


def living():
    kinds = ("WanVACETransformer3DModel", "WanTransformer3DModel", "UMT5EncoderModel")
    return [o for o in gc.get_objects() if type(o).__name__ in kinds]


def test_files_of_holes_are_read_as_the_model(models, tmp_path):
    bare = parts_of(TINY, models.small, _META)
    save_holes(bare, tmp_path)
    size = sum(f.stat().st_blocks * 512 for f in tmp_path.rglob("*.safetensors"))
    assert size < 1e6 < sum(f.stat().st_size for f in tmp_path.rglob("*.safetensors"))
    plan = gpu_order.whole_plan(models.footprint(models.small, bare), CPU, "fp8")
    assert "quantization_config" not in load_arguments(plan)
    read = _read(models, plan, tmp_path)
    for name in (TEXT_ENCODER, TRANSFORMER):
        shapes = {n: (p.shape, p.dtype) for n, p in bare[name].named_parameters()}
        assert {n: (p.shape, p.dtype) for n, p in read[name].named_parameters()} == shapes
        assert not any(p.any() for p in read[name].parameters())


def test_int8_is_carried_out_where_its_library_is(models):
    pytest.importorskip("torchao")
    gpu_order.measure(TINY, models.place, models.record, ("quantised",))
    rows = [(row.plan, row.quantise) for row in models.record.found.plans]
    assert rows[:2] == [("gpu", "fp8"), ("gpu", "int8")]


@pytest.mark.parametrize("half", ["encode", "decode"])
def test_leaving_chunks_out_leaves_the_peak_as_it_is(half):
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=8).eval()
    shape = (1, 3, 81, 480, 832) if half == "encode" else (1, 16, FRAMES, 60, 104)
    peaks = []
    for chunks in (0, FRAMES):  # of none, nothing is left out
        x = meta(*shape, dtype=torch.float32)
        with few_chunks(vae, chunks), Count(vae, x) as count, torch.no_grad():
            getattr(vae, half)(x)
        peaks.append(count.peak)
    assert peaks[0] == peaks[1] > 0
    assert "forward" not in vars(vae.encoder)

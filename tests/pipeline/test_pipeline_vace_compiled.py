"""Compiled blocks as an extra: the same video, one sentence where they cannot be, and never an end.

The compiler itself is left out (backend "eager" traces all the same); a GPU would have inductor.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import wan_tiny
from test_pipeline_load import drain
from test_pipeline_placement import plans

from idvid import runtime
from idvid.config import QUANTISATIONS, GenerationSettings
from idvid.errors import ModelError
from idvid.models.wan_attach import COMPILED
from idvid.pipeline import extras as added
from idvid.pipeline import offers
from idvid.pipeline.extras import NOTHING_ADDED, named_extras, why_not_compiled
from idvid.pipeline.load import LoadedModel
from idvid.pipeline.loader import Loader
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.record import run_record
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import make_plan
from idvid.types import SteppedDown, WindowDone
from tests.runtime.test_runtime_plan import MODEL, machine

SIZE = VaceOptions(**wan_tiny.VACE_SIZE)
LOCKS = GenerationSettings(method="locks", num_steps=1, guidance_scale=5.0)
COMPILED_BLOCKS = replace(NOTHING_ADDED, compiled=True)


@pytest.fixture(autouse=True)
def fresh_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def without_gpu(monkeypatch):
    """Compiled blocks are allowed on the CPU, where the compiler only traces."""
    monkeypatch.setattr(added, "COMPILER", "eager")
    monkeypatch.setattr(offers, "why_not_compiled", lambda *_: "")


def load(folder, extras, options=SIZE):
    loader = Loader(options)
    return drain(loader.hold(loader.choose(str(folder), extras)))[1]


def windows(events):
    return [event for event in events if isinstance(event, WindowDone)]


def is_compiled(model):
    blocks = [*model.pipeline.transformer.blocks, *model.pipeline.transformer.vace_blocks]
    (answer,) = {hasattr(vars(block).get("forward"), COMPILED) for block in blocks}
    return answer


def assert_same(ours, theirs):
    assert [w.first_frame for w in ours] == [w.first_frame for w in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one.frames.astype(int) - other.frames).max() <= 1


@pytest.fixture
def stream(vace_scene, vace_references):
    return (vace_scene, vace_references, LOCKS, lambda: False)


@pytest.fixture
def pair(vace_folder, tmp_path):
    """The model with LoRA, adapter and cache: plain, and compiled."""
    wan_tiny.adapter().save(tmp_path / "adapter")
    wan_tiny.save_loras(tmp_path / "lora", "few-step")
    names = {"adapter": str(tmp_path / "adapter"), "lora": str(tmp_path / "lora")}
    extras = named_extras(**names, cache="taylorseer")
    return [load(vace_folder, replace(extras, compiled=each)) for each in (False, True)]


@pytest.mark.usefixtures("without_gpu")
def test_with_lora_adapter_and_cache_it_draws_what_it_draws_without(pair, stream):
    ours, theirs = (list(model.stream(*stream)) for model in reversed(pair))
    assert not [event for event in ours if isinstance(event, SteppedDown)]
    assert_same(windows(ours), windows(theirs))
    assert [run_record(model, stream[0], LOCKS)["compile"] for model in pair] == [False, True]
    assert pair[1].pipeline.transformer.is_cache_enabled


@pytest.mark.slow
@pytest.mark.usefixtures("without_gpu")
def test_other_people_and_lengths_do_not_end_it(pair, vace_scene, vace_references):
    """torch's own limit is 8 graphs, which these are more than."""
    alone = replace(vace_scene, characters=vace_scene.characters[:1], prompt="@Ana walks")
    for scene, references, method in (
        (vace_scene, vace_references, "locks"),
        (vace_scene, vace_references, "none"),
        (alone, vace_references[:1], "locks"),
        (replace(vace_scene, seconds=17 / 16), vace_references, "context"),
    ):
        settings = replace(LOCKS, method=method)
        ours, theirs = (
            list(m.stream(scene, references, settings, lambda: False)) for m in reversed(pair)
        )
        assert not [event for event in ours if isinstance(event, SteppedDown)]
        assert_same(windows(ours), windows(theirs))


@pytest.mark.usefixtures("without_gpu")
def test_where_compiling_fails_the_run_goes_on_says_so_and_shows_nothing_twice(
    vace_folder, stream, monkeypatch
):
    """The first window of 13 frames compiles, and the second of 9 does not."""
    stream = (replace(stream[0], seconds=15 / 16), *stream[1:])
    options, cache = replace(SIZE, window_frames=13), named_extras(cache="taylorseer")
    expected = windows(load(vace_folder, cache, options).stream(*stream))
    made = []

    def fail(graph, _):
        if len(made) >= 3:
            raise NotImplementedError("no such kernel")
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(added, "COMPILER", fail)
    model = load(vace_folder, replace(cache, compiled=True), options)
    events = list(model.stream(*stream))
    (note,) = [e for e in events if isinstance(e, SteppedDown)]
    assert note.message.startswith("The blocks could not be compiled here (")
    assert note.message.endswith("until the model is loaded anew.")
    assert note.plan == model.plan.name
    assert len(made) == 3
    assert_same(windows(events), expected)
    assert model.pipeline.transformer.is_cache_enabled
    assert not [e for e in model.stream(*stream) if isinstance(e, SteppedDown)]


@pytest.mark.usefixtures("without_gpu")
def test_other_errors_are_not_taken_for_the_compilers(vace_folder, stream):
    model = load(vace_folder, COMPILED_BLOCKS)

    def fail(*_):
        raise KeyError("ours")

    model.pipeline.transformer.register_forward_pre_hook(fail)
    with pytest.raises(KeyError, match="ours"):
        list(model.stream(*stream))
    assert is_compiled(model)


@pytest.mark.usefixtures("without_gpu")
def test_a_lower_plan_keeps_them_compiled_unless_it_moves_the_blocks(
    vace_folder, stream, monkeypatch
):
    on_cpu = partial(apply_plan, device=torch.device("cpu"))
    monkeypatch.setattr("idvid.pipeline.vace_load.apply_plan", on_cpu)
    model = load(vace_folder, COMPILED_BLOCKS)
    expected = windows(model.stream(*stream))
    every = plans(model.pipeline)
    model = LoadedModel(model.choice, model.pipeline, every["gpu", False])
    assert model.place(every["encoder-off", False]) == ""
    assert is_compiled(model)
    assert_same(windows(model.stream(*stream)), expected)
    said = model.place(every["group-offload", False])
    assert said == "Its blocks are no longer compiled, for that plan moves them in parts."
    assert model.pipeline.options.compile_backend is None
    assert_same(windows(model.stream(*stream)), expected)


@pytest.mark.usefixtures("without_gpu")
def test_switching_frees_a_compiled_model(vace_folder, tiny_folder, stream):
    loader = Loader(SIZE)
    model = drain(loader.hold(loader.choose(str(vace_folder), COMPILED_BLOCKS)))[1]
    assert windows(model.stream(*stream))
    weights = [weakref.ref(w) for w in model.pipeline.transformer.parameters()]
    del model
    loader.release()
    drain(loader.hold(loader.choose(str(tiny_folder))))
    assert not [w for w in weights if w() is not None]


def plan(vram, *others, quantise="none"):
    return make_plan(MODEL, machine(vram, *others), quantise)


def test_where_they_cannot_be_is_one_sentence(monkeypatch):
    monkeypatch.setattr(runtime, "has_c_compiler", lambda: True)
    whole = plan(80)
    assert why_not_compiled(COMPILED_BLOCKS, whole) == ""
    assert why_not_compiled(NOTHING_ADDED, None) == ""
    parts = {plan(8).name: plan(8), plan(24, 24).name: plan(24, 24)}
    assert set(parts) == {"group-offload", "split"}
    for name, each in parts.items():
        assert f"plan {name} has only parts of it there" in why_not_compiled(COMPILED_BLOCKS, each)
    for kind in QUANTISATIONS[1:]:
        said = why_not_compiled(replace(COMPILED_BLOCKS, quantise=kind), whole)
        assert f"are not known to work with {kind} weights" in said
    assert "need a CUDA GPU" in why_not_compiled(COMPILED_BLOCKS, None)
    monkeypatch.setattr(runtime, "has_c_compiler", lambda: False)
    assert "need a C compiler; install gcc" in why_not_compiled(COMPILED_BLOCKS, whole)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert why_not_compiled(COMPILED_BLOCKS, whole).startswith(
        "A ZeroGPU Space would compile again"
    )


def test_the_compiler_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not runtime.has_c_compiler()
    (tmp_path / "gcc").touch(mode=0o755)
    assert runtime.has_c_compiler()


def test_without_a_gpu_it_is_refused_before_anything_is_loaded(vace_folder, monkeypatch):
    monkeypatch.setenv("IDVID_DEVICE", "cpu")
    loader = Loader(SIZE)
    choice = loader.choose(str(vace_folder), COMPILED_BLOCKS)
    offer = loader.offer(choice)
    assert "pays from the third window" in dict(offer.facts)["Compiling"]
    assert offer.fit.options.compile_backend == "inductor"
    with pytest.raises(ModelError, match=r"Compiled blocks need a CUDA GPU, .*; leave compile out"):
        drain(loader.hold(choice))
    assert loader.current is None

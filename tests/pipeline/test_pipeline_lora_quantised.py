"""A LoRA on quantised weights: it is fused, the plan moves what came of it, and the picture changes.

fp8 needs nothing but torch. int8 runs where torchao is installed. nf4 is quantised and fused on a
CPU too, but diffusers loads it on a GPU alone, so its check for one is taken out here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import wan_tiny
from safetensors.torch import load_file
from test_pipeline_placement import CPU, new_pipeline, plans

from idvid.config import GenerationSettings
from idvid.errors import ModelError
from idvid.pipeline import extras as added
from idvid.pipeline.extras import named_extras
from idvid.pipeline.load import load_model
from idvid.pipeline.loader import Loader
from idvid.pipeline.placement import apply_plan, load_arguments
from idvid.pipeline.vace_load import VaceModel, load_vace, place_again
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import GIB, Machine

NEEDS = {"fp8": "torch", "int8": "torchao", "nf4": "bitsandbytes"}
ERROR = {"fp8": 0.05, "int8": 0.01, "nf4": 0.15}  # of weights, relative
SETTINGS = GenerationSettings(method="locks", num_steps=2)
OPTIONS = VaceOptions(**wan_tiny.VACE_SIZE)


@pytest.fixture(params=NEEDS)
def quantise(request, monkeypatch):
    pytest.importorskip(NEEDS[request.param])
    if request.param == "nf4" and not torch.cuda.is_available():
        from diffusers.quantizers.bitsandbytes.bnb_quantizer import BnB4BitDiffusersQuantizer

        monkeypatch.setattr(
            BnB4BitDiffusersQuantizer, "validate_environment", lambda *_, **__: None
        )
        monkeypatch.setattr(BnB4BitDiffusersQuantizer, "update_device_map", lambda *_: {"": "cpu"})
    return request.param


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora") / "one"
    wan_tiny.save_loras(folder, "few")
    return folder


def load(folder, plan, lora=None):
    model = VaceModel(base=folder, lora=lora)
    return load_vace(model, OPTIONS, lambda p: apply_plan(p, plan, CPU), load_arguments(plan))


def query(pipeline):
    """The projection that the LoRA changes, in full precision."""
    weight = pipeline.transformer.blocks[0].attn1.to_q.weight
    if hasattr(weight, "quant_state"):
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, weight.quant_state).float()
    return (weight.dequantize() if hasattr(weight, "qdata") else weight).float()


def test_the_weights_hold_the_lora_and_stay_quantised(vace_folder, lora, quantise):
    down, up = load_file(lora / "few.safetensors").values()
    plan = plans(new_pipeline(), quantise)[("gpu", False)]
    plain, pipeline = load(vace_folder, plan), load(vace_folder, plan, lora)
    expected = new_pipeline().transformer.blocks[0].attn1.to_q.weight + up @ down
    error = (query(pipeline) - expected).norm() / expected.norm()
    assert 0 < error < ERROR[quantise]
    stored = [type(m.transformer.blocks[0].attn1.to_q.weight) for m in (plain, pipeline)]
    assert stored[0] is stored[1]
    assert not [name for name, _ in pipeline.transformer.named_parameters() if "lora" in name]


def test_the_picture_changes_by_the_lora_and_not_by_the_plan(
    vace_folder, lora, quantise, vace_scene, vace_references
):
    if quantise == "nf4":
        pytest.skip("bitsandbytes computes blocks of 64 on a CPU, and the tiny model is narrower")
    scene = replace(vace_scene, seconds=9 / 16)
    every = plans(new_pipeline(), quantise)
    by_name = [every[(n, False)] for n in ("gpu", "model-offload", "group-offload")]
    plain = load(vace_folder, by_name[0])(scene, vace_references, SETTINGS).frames
    pipeline = load(vace_folder, by_name[0], lora)
    expected = pipeline(scene, vace_references, SETTINGS).frames
    assert not np.array_equal(expected, plain)
    stepped = []
    for plan in by_name[1:]:  # as when memory runs out
        place_again(pipeline, replace(plan, peak_vram=0))
        stepped.append(pipeline(scene, vace_references, SETTINGS).frames)
        fresh = load(vace_folder, plan, lora)(scene, vace_references, SETTINGS).frames
        assert np.array_equal(fresh, expected)
    assert all(np.array_equal(frames, expected) for frames in stepped)


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_missing_library_is_said_before_anything_is_fetched_or_loaded(
    vace_folder, lora, kind, monkeypatch
):
    monkeypatch.setattr(added.importlib.util, "find_spec", lambda _: None)
    loader = Loader(OPTIONS, load=lambda *_: pytest.fail("something was loaded"))
    machine = Machine(gpu_free=(80 * GIB,), ram_free=80 * GIB)
    monkeypatch.setattr(loader, "_machine", lambda: machine)
    choice = loader.choose(str(vace_folder), named_extras(lora=str(lora), quantise=kind))
    sentence = (
        rf"^{kind} weights need the package {added.QUANTISERS[kind]}, .*, or choose fp8 or none\.$"
    )
    for begin in (loader.fetch, loader.hold):
        with pytest.raises(ModelError, match=sentence):
            list(begin(choice))
    assert "need the package" in dict(loader.offer(choice).facts)["Plan"]


def test_quantised_weights_without_a_gpu_are_refused_before_anything_is_loaded(
    vace_folder, lora, monkeypatch
):
    loader = Loader(OPTIONS, load=load_model)
    monkeypatch.setattr(loader, "_machine", lambda: Machine(gpu_free=(), ram_free=80 * GIB))
    for kind in NEEDS:
        choice = loader.choose(str(vace_folder), named_extras(lora=str(lora), quantise=kind))
        with pytest.raises(ModelError, match=f"^{kind} weights need a CUDA GPU and there is none"):
            list(loader.hold(choice))
    assert loader.current is None

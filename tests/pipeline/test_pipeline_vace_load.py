"""Loading VACE: identity adapters, LoRAs, offloading, caches and kernels, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import wan_tiny
from diffusers import WanPipeline, WanVACEPipeline
from safetensors.torch import save_file

from idvid.config import GenerationSettings
from idvid.errors import InputError, ModelError
from idvid.hub import ModelRef
from idvid.models.wan_attach import attach_identity, is_attached
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_load import VaceModel, load_vace
from idvid.pipeline.vace_options import VaceOptions, speed_up

LOCKS = GenerationSettings(method="locks", num_steps=2)
OFF = replace(LOCKS, identity_strength=0.0)


def options(**changes):
    return VaceOptions(**(wan_tiny.VACE_SIZE | changes))


def load(folder, settle=None, changes=None, **model):
    return load_vace(VaceModel(base=folder, **model), options(**(changes or {})), settle)


@pytest.fixture(scope="module")
def scene(vace_scene):
    return replace(vace_scene, seconds=9 / 16)


@pytest.fixture(scope="module")
def adapter_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    wan_tiny.adapter().save(folder)
    return folder


@pytest.fixture(scope="module")
def plain(vace_folder, scene, vace_references):
    return load(vace_folder)(scene, vace_references, LOCKS).frames


@pytest.fixture(scope="module")
def with_identity(vace_folder, adapter_folder, scene, vace_references):
    return load(vace_folder, adapter=adapter_folder)(scene, vace_references, LOCKS).frames


def test_an_adapter_adds_identity_and_strength_zero_takes_it_away(
    vace_folder, adapter_folder, scene, vace_references, plain, with_identity
):
    pipeline = load(vace_folder, adapter=adapter_folder)
    assert is_attached(pipeline.transformer)
    assert not np.array_equal(with_identity, plain)
    expected = load(vace_folder)(scene, vace_references, OFF).frames
    assert np.array_equal(pipeline(scene, vace_references, OFF).frames, expected)
    chosen = replace(LOCKS, method="none")
    assert np.array_equal(pipeline(scene, vace_references, chosen).frames, expected)


def test_people_stand_where_the_scene_has_them_unless_the_prompt_says_otherwise(
    vace_folder, adapter_folder, vace_scene, vace_references
):
    pipeline = load(vace_folder, adapter=adapter_folder)
    seen = []

    def watch(module, args, kwargs):
        identity = kwargs["attention_kwargs"]["identity"]
        seen.append((identity.regions, identity.tokens["cond"]))

    pipeline.transformer.register_forward_pre_hook(watch, with_kwargs=True)
    list(pipeline.stream(vace_scene, vace_references, LOCKS))
    first, later = seen[0], seen[-1]
    assert first[0].shape == (1, 2, 3, 2, 3)  # without the three reference frames in front
    assert first[0][0, 0, 0, 0].argmax() == 0
    assert first[0][0, 1, 0, 0].argmax() == 2
    assert later[0] is None  # no face is found in noise: nobody is confined
    assert first[1].shape == (1, 2, 4 + 1, 64)
    seen.clear()
    told = replace(vace_scene, prompt="@Ben is left of @Ana")
    next(pipeline.stream(told, vace_references, LOCKS))
    assert seen[0][0] is None


def test_offloading_draws_the_same(
    vace_folder, adapter_folder, scene, vace_references, with_identity
):
    def settle(pipeline):
        pipeline.enable_group_offload(
            onload_device=torch.device("cpu"),
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
        )

    pipeline = load(vace_folder, settle, adapter=adapter_folder)
    assert np.array_equal(pipeline(scene, vace_references, LOCKS).frames, with_identity)


def test_regional_compilation_draws_the_same(
    vace_folder, adapter_folder, scene, vace_references, with_identity
):
    torch._dynamo.reset()
    pipeline = load(vace_folder, adapter=adapter_folder, changes={"compile_backend": "eager"})
    ours = pipeline(scene, vace_references, LOCKS).frames
    assert np.abs(ours.astype(int) - with_identity).max() <= 1
    torch._dynamo.reset()


def test_taylorseer_skips_steps_and_starts_anew_in_every_window(
    vace_folder, vace_scene, vace_references
):
    chosen = replace(LOCKS, num_steps=10)
    exact = load(vace_folder)(vace_scene, vace_references, chosen).frames
    pipeline = load(vace_folder, changes={"cache": "taylorseer"})
    calls = []
    pipeline.transformer.blocks[1].attn1.to_q.register_forward_hook(lambda *_: calls.append(1))
    cached = pipeline(vace_scene, vace_references, chosen).frames
    assert len(calls) == 2 * 6  # of 2 windows of 10 steps
    again = pipeline(vace_scene, vace_references, chosen).frames
    assert np.array_equal(cached, again)
    assert 0 < np.abs(cached.astype(int) - exact).mean() < 40


def test_taylorseer_compiled_draws_what_it_draws_without(vace_folder, scene, vace_references):
    chosen = replace(LOCKS, num_steps=6)
    plain = load(vace_folder, changes={"cache": "taylorseer"})
    expected = plain(scene, vace_references, chosen).frames
    torch._dynamo.reset()
    both = {"cache": "taylorseer", "compile_backend": "eager"}
    pipeline = load(vace_folder, changes=both)
    ours = pipeline(scene, vace_references, chosen).frames
    assert np.abs(ours.astype(int) - expected).max() <= 1
    speed_up(pipeline.transformer, replace(pipeline.options, cache="none"))  # placed again
    with pytest.raises(ModelError, match="is compiled already; attach the identity layers first"):
        attach_identity(pipeline.transformer, wan_tiny.identity_layers())
    torch._dynamo.reset()


@pytest.mark.parametrize(("cache", "name"), [("first_block", "FirstBlock"), ("magcache", "MagC")])
def test_caches_that_would_draw_wrong_pictures_are_refused_with_the_reason(cache, name):
    with pytest.raises(ModelError, match=rf"{name}.* adds its hints between the blocks"):
        options(cache=cache)
    with pytest.raises(ModelError, match="There is no cache 'magic'; use one of none, taylorseer"):
        options(cache="magic")


def test_sizes_that_do_not_fit_are_one_sentence():
    with pytest.raises(InputError, match="is 50 x 32 px and both must be multiples of 16"):
        options(width_px=50)
    with pytest.raises(InputError, match="have 10 frames with 5 kept"):
        options(window_frames=10)
    with pytest.raises(InputError, match="Windows of 9 frames keep 9 and make nothing new"):
        options(kept_frames=9)


def test_an_attention_kernel_is_chosen_or_refused(vace_folder, scene, vace_references, plain):
    pipeline = load(vace_folder, changes={"attention_backend": "_native_math"})
    try:
        ours = pipeline(scene, vace_references, LOCKS).frames
        assert np.abs(ours.astype(int) - plain).max() <= 1
        with pytest.raises(ModelError, match="The attention kernel 'magic' is unknown"):
            load(vace_folder, changes={"attention_backend": "magic"})
        with pytest.raises(ModelError, match="or does not work on this machine; leave it out"):
            load(vace_folder, changes={"attention_backend": "flash"})
    finally:
        pipeline.transformer.set_attention_backend("native")  # diffusers keeps it per process


def test_flow_shift_follows_the_size_unless_it_is_given(vace_folder):
    assert options().shift == 3.0
    assert VaceOptions(width_px=1280, height_px=720).shift == 5.0
    pipeline = load(vace_folder, changes={"flow_shift": 5.0})
    config = pipeline.scheduler.config
    assert (config.flow_shift, config.prediction_type) == (5.0, "flow_prediction")
    pipeline.scheduler.set_timesteps(4)
    assert pipeline.scheduler.timesteps.tolist() == [999, 937, 833, 625]  # what few-step LoRAs want


def lora_weights(style):
    """A rank 2 change of one projection, as diffusers or Wan's own code names it."""
    names = {
        "diffusers": "transformer.blocks.0.attn1.to_q.lora_{}.weight",
        "wan": "diffusion_model.blocks.0.self_attn.q.lora_{}.weight",
    }
    source = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=source) for shape in ((2, 24), (24, 2)))
    name = names[style]
    return {name.format("A"): down, name.format("B"): up}, up @ down


@pytest.mark.parametrize("style", ["diffusers", "wan"])
def test_a_lora_becomes_part_of_the_weights(vace_folder, adapter_folder, tmp_path, style):
    weights, change = lora_weights(style)
    save_file(weights, tmp_path / "few_steps.safetensors")
    before = load(vace_folder).transformer.blocks[0].attn1.to_q.weight
    pipeline = load(vace_folder, lora=tmp_path, adapter=adapter_folder)
    after = pipeline.transformer.blocks[0].attn1.to_q.weight
    torch.testing.assert_close(after, before + change)
    assert not [name for name, _ in pipeline.transformer.named_parameters() if "lora" in name]


def test_a_lora_that_does_not_fit_is_one_sentence(vace_folder, tmp_path):
    with pytest.raises(ModelError, match="The LoRA has 0 files of weights to choose from"):
        load(vace_folder, lora=tmp_path)
    weights, _ = lora_weights("diffusers")
    for name in ("a", "b"):
        save_file(weights, tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelError, match="The LoRA has 2 files of weights to choose from"):
        load(vace_folder, lora=tmp_path)
    load(vace_folder, lora=tmp_path, lora_file="b.safetensors")
    wide = {name: torch.zeros(3 * value.shape[0], 72) for name, value in weights.items()}
    strange = {"text_model.x.lora_A.weight": torch.zeros(2, 24)}
    for wrong in (wide, strange):
        save_file(wrong, tmp_path / "b.safetensors")
        with pytest.raises(ModelError, match="The LoRA does not fit this model"):
            load(vace_folder, lora=tmp_path, lora_file="b.safetensors")


def test_our_pipeline_saves_what_the_stock_class_loads(vace_folder, tmp_path):
    pipeline = load(vace_folder)
    pipeline.save_pretrained(tmp_path)
    stock = WanVACEPipeline.from_pretrained(tmp_path)
    ours = IdVidVacePipeline.from_pretrained(tmp_path)
    expected = pipeline.transformer.state_dict()
    for again in (stock, ours):
        loaded = again.transformer.state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in expected.items())


def test_models_that_are_no_vace_or_damaged_are_one_sentence(vace_folder, tmp_path):
    WanPipeline(**wan_tiny.parts("t2v")).save_pretrained(tmp_path / "t2v")
    wrong = "damaged or not those of Wan2.1 VACE"
    with pytest.raises(ModelError, match=wrong):
        load(tmp_path / "t2v")
    with pytest.raises(ModelError, match=wrong):
        load(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(vace_folder, broken)
    weights = next((broken / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match=wrong):
        load(broken)
    two_stages = WanVACEPipeline(
        **wan_tiny.parts("vace"), transformer_2=wan_tiny.vace_transformer(), boundary_ratio=0.9
    )
    two_stages.save_pretrained(tmp_path / "two")
    with pytest.raises(ModelError, match=r"two-stage Wan2\.2 model; choose a Wan2\.1 VACE"):
        load(tmp_path / "two")
    with pytest.raises(ModelError, match=r"no readable config\.json of the adapter's identity"):
        load(vace_folder, adapter=tmp_path)


def test_references_name_models_of_the_hub():
    model = VaceModel(base="Wan-AI/Wan2.1-VACE-1.3B-diffusers", lora=ModelRef(repo="a/b"))
    assert model.lora.repo == "a/b"

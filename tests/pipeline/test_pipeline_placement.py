"""A plan carried out changes where weights lie and nothing of what comes out."""

import dataclasses
import importlib.util

import pytest
import torch
from diffusers import WanPipeline, WanVACEPipeline
from diffusers.hooks.hooks import HookRegistry, ModelHook

from idvid.errors import ModelError
from idvid.models.parts import build_part
from idvid.models.published import PUBLISHED
from idvid.models.sizes import component_size
from idvid.models.wan_memory import VideoRequest
from idvid.pipeline.placement import Turn, apply_plan, load_arguments, split_map
from idvid.pipeline.planning import BarePipeline
from idvid.pipeline.vace_conditions import LatentCoder
from idvid.runtime import GIB, TEXT_ENCODER, TRANSFORMER, VAE, Machine, make_plan
from idvid.runtime import plan as planner
from tests import wan_tiny

CPU = torch.device("cpu")
NAMES = ("gpu", "encoder-off", "model-offload", "encoder-stream", "group-offload")


SMALL = VideoRequest(num_frames=5, height=32, width=48)


def plans(pipeline, quantise="none", request=SMALL):
    """The plan of every name, and in tiles, as they are made for a CUDA GPU."""
    parts = {n: getattr(pipeline, n) for n in (TEXT_ENCODER, TRANSFORMER, VAE)}
    footprint = BarePipeline(name="tiny", parts=parts).footprint(request)
    machine = Machine(gpu_free=(80 * GIB,), ram_free=80 * GIB)
    every = planner._candidates(footprint, machine, quantise)
    return {(p.name, p.layout.tiled): p for p in every}


def new_pipeline(kind="vace"):
    made = WanVACEPipeline if kind == "vace" else WanPipeline
    pipeline = made(**wan_tiny.parts(kind))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def frames(pipeline):
    return pipeline(
        prompt="a woman and a man",
        negative_prompt="low quality",
        num_frames=5,
        height=32,
        width=48,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
        max_sequence_length=16,
    ).frames


@pytest.fixture(scope="module")
def pipeline():
    """One pipeline that every test places anew: taking back must leave nothing behind."""
    return new_pipeline()


@pytest.fixture(scope="module")
def expected(pipeline):
    return frames(new_pipeline())


@pytest.mark.parametrize("name", NAMES)
def test_a_placed_pipeline_makes_the_same_frames(pipeline, expected, name):
    apply_plan(pipeline, plans(pipeline)[(name, False)], device=CPU)
    assert torch.equal(frames(pipeline), expected)
    assert torch.equal(frames(pipeline), expected), "and again, with hooks that have learnt"


def test_the_plan_for_the_cpu_needs_no_device(pipeline, expected):
    apply_plan(pipeline, plans(pipeline)[("cpu", False)])
    assert torch.equal(frames(pipeline), expected)


def test_tiles_are_switched_with_the_plan(pipeline):
    apply_plan(pipeline, plans(pipeline)[("gpu", True)], device=CPU)
    assert pipeline.vae.use_tiling
    apply_plan(pipeline, plans(pipeline)[("gpu", False)], device=CPU)
    assert not pipeline.vae.use_tiling


@pytest.mark.parametrize(
    ("name", "guests"),
    [
        ("encoder-off", {TEXT_ENCODER: {TEXT_ENCODER}, TRANSFORMER: {TRANSFORMER, VAE}}),
        ("model-offload", {TEXT_ENCODER: {TEXT_ENCODER}, VAE: {VAE}, TRANSFORMER: {TRANSFORMER}}),
    ],
)
def test_rivals_make_room_before_a_component_computes(name, guests):
    pipeline = new_pipeline()
    apply_plan(pipeline, plans(pipeline)[(name, False)], device=CPU)
    parts = {n: getattr(pipeline, n) for n in (TEXT_ENCODER, TRANSFORMER, VAE)}
    for component, may_stay in guests.items():
        hook = parts[component]._hf_hook
        assert isinstance(hook, Turn)
        must_go = {n for n, part in parts.items() if part in hook.rivals}
        assert must_go == set(parts) - may_stay
    assert pipeline._execution_device == CPU


def test_the_vae_takes_its_turn_although_it_is_not_called_by_forward():
    """diffusers runs the hook in encode and decode; without it the VAE would stay behind."""
    pipeline = new_pipeline()
    apply_plan(pipeline, plans(pipeline)[("model-offload", False)], device=CPU)
    turns = []
    for name in (TEXT_ENCODER, TRANSFORMER, VAE):
        hook = getattr(pipeline, name)._hf_hook

        def noted(module, *args, _name=name, _before=hook.pre_forward, **kwargs):
            turns.append(_name)
            return _before(module, *args, **kwargs)

        hook.pre_forward = noted
    frames(pipeline)
    first, last = turns.index(VAE), len(turns) - 1 - turns[::-1].index(VAE)
    assert set(turns[:first]) == {TEXT_ENCODER}
    assert set(turns[first : turns.index(TRANSFORMER)]) == {VAE}
    assert set(turns[last:]) == {VAE}
    assert turns[last - 1] == TRANSFORMER


def test_the_vae_has_its_turn_before_a_video_is_made_for_it():
    """A video beside the text encoder would be more than the plan counts."""
    pipeline = new_pipeline()
    apply_plan(pipeline, plans(pipeline)[("model-offload", False)], device=CPU)
    hook, order = pipeline.vae._hf_hook, []
    before = hook.pre_forward

    def noted(*args, **kwargs):
        order.append("turn")
        return before(*args, **kwargs)

    class Video:
        def to(self, device, dtype):
            order.append("video")
            return torch.zeros(1, 3, 5, 32, 32, device=device, dtype=dtype)

    hook.pre_forward = noted
    with torch.no_grad():
        LatentCoder(pipeline.vae, CPU).encode(Video())
    assert order[:2] == ["turn", "video"]


def test_streamed_blocks_are_those_that_the_plan_counted():
    pipeline = new_pipeline()
    apply_plan(pipeline, plans(pipeline)[("group-offload", False)], device=CPU)

    def hooked(part):
        with_hook = ((n, m) for n, m in part.named_modules() if hasattr(m, "_diffusers_hook"))
        return {n for n, m in with_hook if "group_offloading" in m._diffusers_hook.hooks}

    blocks = {f"blocks.{i}" for i in range(3)} | {f"vace_blocks.{i}" for i in range(2)}
    assert hooked(pipeline.transformer) == blocks | {""}
    assert "encoder.block.0.layer.0.SelfAttention.q" in hooked(pipeline.text_encoder)
    assert hooked(pipeline.vae) == set()
    apply_plan(pipeline, plans(pipeline)[("gpu", False)], device=CPU)
    assert hooked(pipeline.transformer) == hooked(pipeline.text_encoder) == set()


class Witness(ModelHook):
    """As identity attention has one on the transformer, attached before any plan."""

    calls = 0

    def pre_forward(self, module, *args, **kwargs):  # noqa: ARG002 - diffusers' signature
        self.calls += 1
        return args, kwargs


def test_a_hook_that_was_attached_before_survives_every_plan():
    pipeline, witness = new_pipeline(), Witness()
    registry = HookRegistry.check_if_exists_or_initialize(pipeline.transformer)
    registry.register_hook(witness, "witness")
    by_name = plans(pipeline)
    for round_number, name in enumerate((*NAMES, *reversed(NAMES)), start=1):
        apply_plan(pipeline, by_name[(name, False)], device=CPU)
        frames(pipeline)
        assert witness.calls == 4 * round_number, "two steps, with and without guidance"


def test_fp8_is_stored_once_and_close_to_the_full_result():
    pipeline = new_pipeline("t2v")
    for name in (TEXT_ENCODER, TRANSFORMER):
        getattr(pipeline, name).to(torch.bfloat16)
    full = frames(pipeline)
    by_name = plans(pipeline, "fp8")
    for name in ("gpu", "group-offload", "model-offload"):  # a step down keeps what is stored
        apply_plan(pipeline, by_name[(name, False)], device=CPU)
        cast = [p.dtype for p in pipeline.transformer.blocks.parameters()]
        assert cast.count(torch.float8_e4m3fn) > len(cast) / 2
        error = (frames(pipeline) - full).abs().mean() / full.std()
        assert 0 < error < 0.2


def test_weights_load_in_the_precision_that_the_plan_counts(pipeline, tmp_path):
    new_pipeline("t2v").save_pretrained(tmp_path / "tiny")
    plan = plans(pipeline)[("gpu", False)]
    loaded = WanPipeline.from_pretrained(tmp_path / "tiny", **load_arguments(plan))
    assert loaded.text_encoder.dtype == loaded.transformer.dtype == torch.bfloat16
    assert loaded.vae.dtype == torch.float32
    on_cpu = load_arguments(plans(pipeline)[("cpu", False)])
    assert WanPipeline.from_pretrained(tmp_path / "tiny", **on_cpu).dtype == torch.float32


@pytest.mark.parametrize(("quantise", "library"), [("int8", "torchao"), ("nf4", "bitsandbytes")])
def test_a_library_that_is_missing_is_one_sentence(pipeline, quantise, library):
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed")
    plan = plans(pipeline, quantise)[("gpu", False)]
    with pytest.raises(ModelError, match=rf"need the package {library}, .*\.$"):
        load_arguments(plan)
    assert "quantization_config" not in load_arguments(plans(pipeline, "fp8")[("gpu", False)])


def test_int8_weights_take_what_the_plan_counts(tmp_path):
    pytest.importorskip("torchao")
    plain = new_pipeline("t2v")
    plain.save_pretrained(tmp_path / "tiny")
    arguments = load_arguments(plans(plain, "int8")[("gpu", False)])
    loaded = WanPipeline.from_pretrained(tmp_path / "tiny", **arguments)
    for name in (TEXT_ENCODER, TRANSFORMER):
        part = getattr(loaded, name)
        tensors = [
            t
            for p in part.parameters()
            for t in ((p.qdata, p.scale) if hasattr(p, "qdata") else (p,))
        ]
        held = sum(t.numel() * t.element_size() for t in (*tensors, *part.buffers()))
        assert component_size(name, getattr(plain, name)).at("int8").total == held


@pytest.fixture(scope="module")
def large():
    """The 14B text-to-video transformer without weights, in bfloat16, and its plan on two GPUs."""
    configs = PUBLISHED["Wan-AI/Wan2.1-T2V-14B-Diffusers"]
    parts = {name: build_part(config) for name, config in configs.items()}
    model = BarePipeline(name="Wan2.1-T2V-14B", parts=parts).footprint(VideoRequest())
    transformer = parts[TRANSFORMER]
    for name, parameter in transformer.named_parameters():
        if not set(transformer._keep_in_fp32_modules) & set(name.split(".")):
            parameter.data = parameter.data.to(torch.bfloat16)
    machine = Machine(gpu_free=(30 * GIB, 30 * GIB), ram_free=64 * GIB)
    return transformer, make_plan(model, machine)


def test_a_split_keeps_blocks_whole_and_within_the_plan(large):
    transformer, plan = large
    assert plan.name == "split"
    placed = split_map(transformer, plan)
    assert set(placed.values()) == {0, 1}
    blocks = {n for n in placed if n.startswith("blocks.")}
    assert all(n.count(".") == 1 for n in blocks)
    for gpu, share in enumerate(plan.layout.shares):
        there = tuple(n for n, g in placed.items() if g == gpu)
        held = sum(
            p.numel() * p.element_size()
            for n, p in transformer.named_parameters()
            if n.startswith(tuple(f"{t}." for t in there)) or n in there
        )
        assert 0 < held <= share


def test_a_split_that_does_not_fit_is_one_sentence(large):
    transformer, plan = large
    layout = dataclasses.replace(plan.layout, shares=(GIB, GIB))
    with pytest.raises(ModelError, match=r"does not fit on 2 GPUs as planned, .*\.$"):
        split_map(transformer, dataclasses.replace(plan, layout=layout))

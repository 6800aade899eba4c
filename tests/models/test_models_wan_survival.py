"""Identity layers survive whatever diffusers and accelerate do to a transformer, or refuse."""

from __future__ import annotations

import accelerate
import pytest
import torch
import wan_tiny
from diffusers import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    TaylorSeerCacheConfig,
    WanTransformer3DModel,
)
from peft import LoraConfig

from idvid.errors import ModelError
from idvid.models.wan_attach import attach_identity, detach_identity
from idvid.models.wan_attention import WanIdentity

CPU = torch.device("cpu")
BUILDERS = {"t2v": wan_tiny.t2v_transformer, "vace": wan_tiny.vace_transformer}
DISK = {"blocks.1": "disk"}
# accelerate wants top-level parameters in a map and then warns of them
pytestmark = pytest.mark.filterwarnings("ignore:The following device_map keys do not match")
EXACT = {"atol": 2e-6, "rtol": 1e-5}


@pytest.fixture(params=BUILDERS)
def kind(request):
    return request.param


@pytest.fixture
def transformer(kind):
    return BUILDERS[kind]()


@pytest.fixture
def identity():
    regions = torch.rand(1, 2, *wan_tiny.GRID, generator=torch.Generator().manual_seed(5))
    tokens = wan_tiny.identity_tokens()
    return WanIdentity(tokens={"cond": tokens, "uncond": -tokens}, regions=regions)


@pytest.fixture
def expected(kind, identity):
    """What the plain transformer with identity says in both branches."""
    plain = BUILDERS[kind]()
    attach_identity(plain, wan_tiny.identity_layers())
    return {b: wan_tiny.predict(plain, identity, kind, b) for b in ("cond", "uncond")}


def device_map(transformer):
    """Everything on the CPU but one block, which rests on the disk."""
    names = [name for name, _ in transformer.named_children() if name != "blocks"]
    blocks = [f"blocks.{index}" for index in range(len(transformer.blocks))]
    return dict.fromkeys([*names, *blocks, "scale_shift_table"], "cpu") | DISK


def offload(transformer, way, folder):
    if way == "accelerate":
        accelerate.cpu_offload(transformer, execution_device=CPU)
    elif way == "dispatch":
        accelerate.dispatch_model(
            transformer, device_map(transformer), main_device="cpu", offload_dir=folder
        )
    else:
        transformer.enable_group_offload(
            onload_device=CPU,
            offload_device=CPU,
            offload_type="leaf_level" if way == "leaf" else "block_level",
            num_blocks_per_group=None if way == "leaf" else 1,
            offload_to_disk_path=str(folder) if way == "disk" else None,
        )


WAYS = ("block", "leaf", "disk", "accelerate", "dispatch")


@pytest.mark.parametrize("way", WAYS)
def test_offloading(kind, transformer, identity, expected, way, tmp_path):
    attach_identity(transformer, wan_tiny.identity_layers())
    offload(transformer, way, tmp_path)
    if way in {"accelerate", "dispatch"}:  # nothing stays behind
        assert transformer.blocks[1].attn2.id_kv.to_k_ip.weight.device.type == "meta"
    for branch in ("cond", "uncond", "cond"):
        ours = wan_tiny.predict(transformer, identity, kind, branch)
        torch.testing.assert_close(ours, expected[branch], **EXACT)


@pytest.mark.parametrize("way", [w for w in WAYS if w != "dispatch"])
def test_after_offloading_it_is_too_late(transformer, way, tmp_path):
    offload(transformer, way, tmp_path)
    sentence = r"is offloaded.* already; attach the identity layers first"
    with pytest.raises(ModelError, match=sentence):
        attach_identity(transformer, wan_tiny.identity_layers())


def test_a_model_loaded_by_a_device_map(kind, transformer, identity, expected, tmp_path):
    transformer.save_pretrained(tmp_path / "model")
    loaded = type(transformer).from_pretrained(
        tmp_path / "model", device_map=device_map(transformer), offload_folder=tmp_path / "disk"
    )
    assert loaded.blocks[1].ffn.net[2].weight.device.type == "meta"
    attach_identity(loaded, wan_tiny.identity_layers())
    assert loaded.blocks[1].attn2.id_kv.gate.device == CPU
    ours = wan_tiny.predict(loaded, identity, kind)
    torch.testing.assert_close(ours, expected["cond"], **EXACT)


def test_an_automatic_device_map_keeps_the_layers_with_their_block(transformer):
    attach_identity(transformer, wan_tiny.identity_layers())
    sizes = accelerate.utils.compute_module_sizes(transformer)
    found = accelerate.infer_auto_device_map(
        transformer,
        max_memory={0: int(sizes[""] * 0.7), "cpu": 10**9},
        no_split_module_classes=transformer._no_split_modules,
    )
    assert set(found.values()) == {0, "cpu"}
    assert not [name for name in found if "id_kv" in name]


def test_fused_projections(kind, transformer, identity, expected):
    attach_identity(transformer, wan_tiny.identity_layers())
    transformer.fuse_qkv_projections()
    assert transformer.blocks[0].attn2.fused_projections
    ours = wan_tiny.predict(transformer, identity, kind)
    torch.testing.assert_close(ours, expected["cond"], atol=1e-5, rtol=1e-4)


def test_an_attention_backend_reaches_both_attentions_and_outlives_detach(transformer, identity):
    attach_identity(transformer, wan_tiny.identity_layers())
    transformer.set_attention_backend("_native_math")
    try:
        backends = {p._attention_backend for p in transformer.attn_processors.values()}
        detach_identity(transformer)
        after = {p._attention_backend for p in transformer.attn_processors.values()}
        assert len(backends) == 1
        assert after == backends
    finally:
        transformer.set_attention_backend("native")  # diffusers keeps it for the whole process


def test_gradient_checkpointing_trains_the_adapter_alone(kind, transformer, identity):
    layers = wan_tiny.identity_layers(n_registers=2)
    attach_identity(transformer, layers)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            transformer.enable_gradient_checkpointing()
        transformer.train()
        layers.zero_grad()
        values = wan_tiny.inputs(kind)
        out = transformer(**values, attention_kwargs={"identity": identity}, return_dict=False)[0]
        out.square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in layers.named_parameters()})
    assert all(value.any() for value in gradients[0].values())
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value)
    trained = {name for name, p in transformer.named_parameters() if p.grad is not None}
    assert {name.split(".")[3] for name in trained} == {"id_kv"}


def test_a_lora_leaves_the_identity_projections_alone(kind, transformer, identity, expected):
    attach_identity(transformer, wan_tiny.identity_layers())
    transformer.add_adapter(LoraConfig(r=2, target_modules=["to_k"], init_lora_weights=True))
    assert not [
        name for name, _ in transformer.named_modules() if "id_kv" in name and "lora" in name
    ]
    ours = wan_tiny.predict(transformer, identity, kind)
    torch.testing.assert_close(ours, expected["cond"], **EXACT)


def test_regional_compilation_takes_the_whole_block(kind, transformer, identity, expected):
    attach_identity(transformer, wan_tiny.identity_layers())
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=False):
        transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
        ours = wan_tiny.predict(transformer, identity, kind)
    torch.testing.assert_close(ours, expected["cond"], **EXACT)
    with torch._dynamo.config.patch(error_on_recompile=True):  # another identity is no new graph
        other = wan_tiny.predict(transformer, identity, kind, "uncond")
    torch.testing.assert_close(other, expected["uncond"], **EXACT)
    torch._dynamo.reset()


def test_after_compilation_it_is_too_late(transformer):
    transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
    with pytest.raises(ModelError, match="is compiled already; attach the identity layers first"):
        attach_identity(transformer, wan_tiny.identity_layers())


CACHES = {
    "first block": FirstBlockCacheConfig(threshold=0.5),
    "magnitude": MagCacheConfig(
        threshold=1e9, retention_ratio=0.0, num_inference_steps=4, mag_ratios=torch.ones(4)
    ),
    "taylor": TaylorSeerCacheConfig(
        cache_interval=3,
        disable_cache_before_step=1,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[r"(vace_)?blocks\.\d+\.(attn[12]|ffn)"],
    ),
}


@pytest.mark.parametrize("cache", CACHES)
def test_caches_skip_work_and_keep_the_branches_apart(identity, cache):
    """With the same input in every step a cached step must say what the first one said."""
    transformer = wan_tiny.t2v_transformer()
    attach_identity(transformer, wan_tiny.identity_layers())
    expected = {b: wan_tiny.predict(transformer, identity, branch=b) for b in ("cond", "uncond")}
    transformer.enable_cache(CACHES[cache])
    counted = transformer.blocks[1].attn2.to_q
    calls = []
    counted.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        for branch in ("cond", "uncond"):
            ours = wan_tiny.predict(transformer, identity, branch=branch)
            torch.testing.assert_close(ours, expected[branch], atol=1e-5, rtol=1e-4)
    assert len(calls) < 6
    transformer.disable_cache()
    ours = wan_tiny.predict(transformer, identity)
    torch.testing.assert_close(ours, expected["cond"], **EXACT)


def test_weights_stored_in_eight_bits(kind, transformer, identity, expected):
    attach_identity(transformer, wan_tiny.identity_layers())
    transformer.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32)
    assert transformer.blocks[0].attn2.id_kv.to_k_ip.weight.dtype == torch.float8_e4m3fn
    ours = wan_tiny.predict(transformer, identity, kind)
    error = (ours - expected["cond"]).norm() / expected["cond"].norm()
    assert error < 0.15
    late = BUILDERS[kind]()
    late.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32)
    with pytest.raises(ModelError, match="is cast to a smaller storage type already"):
        attach_identity(late, wan_tiny.identity_layers())


class _Quantised(torch.Tensor):
    """As torchao and others do it: a tensor of another class in a parameter's place."""


def test_after_quantisation_it_is_too_late_unless_the_model_was_loaded_so(transformer):
    linear = transformer.blocks[0].ffn.net[2]
    small = linear.weight.data.as_subclass(_Quantised)
    linear.weight = torch.nn.Parameter(small, requires_grad=False)
    with pytest.raises(ModelError, match="is quantised already; attach the identity layers first"):
        attach_identity(transformer, wan_tiny.identity_layers())
    transformer.hf_quantizer = object()  # from_pretrained(quantization_config=...) leaves it
    attach_identity(transformer, wan_tiny.identity_layers())


def test_bfloat16(kind, transformer, identity, expected):
    transformer = transformer.to(torch.bfloat16)
    attach_identity(transformer, wan_tiny.identity_layers())
    assert transformer.blocks[0].attn2.id_kv.gate.dtype == torch.bfloat16
    ours = wan_tiny.predict(transformer, identity, kind, dtype=torch.bfloat16)
    assert ours.dtype == torch.bfloat16
    error = (ours - expected["cond"]).norm() / expected["cond"].norm()
    assert error < 0.03


def test_the_stock_class_reads_a_full_save_without_identity(tmp_path):
    transformer = wan_tiny.t2v_transformer()
    attach_identity(transformer, wan_tiny.identity_layers())
    transformer.save_pretrained(tmp_path)
    plain, report = WanTransformer3DModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert all("id_kv" in name for name in report["unexpected_keys"])
    base = wan_tiny.predict(wan_tiny.t2v_transformer())
    torch.testing.assert_close(wan_tiny.predict(plain.eval()), base, **EXACT)

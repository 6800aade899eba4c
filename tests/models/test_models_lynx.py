"""Laws of the Lynx adapters: equal to Lynx's own modules, read strictly, true at full size."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from idvid.errors import ModelError
from idvid.hub import card_of
from idvid.models.lynx import (
    FULL,
    LITE,
    identity_layers_of,
    load_lynx,
    reference_layers_of,
    resampler_of,
)
from idvid.models.wan_attach import attach_identity
from idvid.models.wan_attention import WanIdentity
from idvid.models.wan_reference import attach_reference

GOLDEN = Path(__file__).parent / "golden" / "lynx"
CONFIG = json.loads((GOLDEN / "config.json").read_text())
HEAD = CONFIG["resampler"]["dim_head"]
LIMIT = 1e-5


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "lynx_tiny.safetensors")


def part(golden, name):
    """The tensors of one part by the names they have in its file."""
    return {k.removeprefix(f"{name}."): v for k, v in golden.items() if k.startswith(f"{name}.")}


def transformer(golden):
    wan = WanTransformer3DModel(**CONFIG["wan_config"]).eval().requires_grad_(False)
    missing, unexpected = wan.load_state_dict(part(golden, "base"), strict=False)
    assert not missing
    assert not unexpected
    return wan


def predict(wan, golden, identity=None):
    names = ("hidden_states", "timestep", "encoder_hidden_states")
    values = {name: golden[f"in.{name}"] for name in names}
    attention = {"identity": identity} if identity else None
    with torch.no_grad(), wan.cache_context("cond"):
        return wan(**values, attention_kwargs=attention, return_dict=False)[0]


def test_the_resampler_gives_lynx_s_tokens(golden):
    resampler = resampler_of(part(golden, "resampler"), HEAD)
    assert {name: resampler.config[name] for name in CONFIG["resampler"]} == CONFIG["resampler"]
    made = resampler(golden["in.face_embedding"])
    assert made.shape == golden["out.resampler"].shape
    assert (made - golden["out.resampler"]).abs().max() < LIMIT


def test_the_base_is_the_golden_one(golden):
    assert (predict(transformer(golden), golden) - golden["out.base"]).abs().max() < LIMIT


@pytest.mark.parametrize(("name", "registers"), [("full_r0", 0), ("full_r3", 3)])
def test_full_identity_layers_give_lynx_s_video(golden, name, registers):
    wan = transformer(golden)
    layers = identity_layers_of(part(golden, name), FULL)
    assert layers.config["n_registers"] == registers
    attach_identity(wan, layers)
    tokens = resampler_of(part(golden, "resampler"), HEAD)(golden["in.face_embedding"])[None]
    strength = CONFIG["ip_scale"]
    made = predict(wan, golden, WanIdentity(tokens={"cond": tokens}, strength=strength))
    assert (made - golden[f"out.{name}"]).abs().max() < LIMIT
    assert (golden[f"out.{name}"] - golden["out.base"]).abs().max() > 0.1
    assert (predict(wan, golden) - golden["out.base"]).abs().max() < LIMIT


def test_lite_identity_layers_give_lynx_s_attention(golden):
    wan = transformer(golden)
    layers = identity_layers_of(part(golden, "lite"), LITE)
    assert layers.config["layer_ids"] == CONFIG["lite_layers"]
    attach_identity(wan, layers)
    attn = wan.blocks[2].attn2
    state = attn.processor.state
    state.tokens = golden["in.lite_identity"][:, None]
    state.weight = torch.full((1, 1, 1), CONFIG["lite_ip_scale"])
    made = attn(golden["in.lite_hidden"], golden["in.lite_text"])
    assert (made - golden["out.lite_attn2_block2"]).abs().max() < LIMIT
    state.tokens = None
    plain = attn(golden["in.lite_hidden"], golden["in.lite_text"])
    assert (plain - golden["out.lite_attn2_block2"]).abs().max() > 0.01


def save_lynx(golden, folder, kind=FULL):
    """The golden weights as a snapshot of the repository."""
    inside = folder / kind.folder
    inside.mkdir(parents=True)
    layers = part(golden, "full_r3" if kind is FULL else "lite")
    resampler = part(golden, "resampler")
    if kind is LITE:  # whose resampler makes the lite layers' narrower tokens
        resampler |= {"proj_out.weight": torch.randn(16, 32), "proj_out.bias": torch.zeros(16)}
        resampler |= {f"norm_out.{name}": torch.ones(16) for name in ("weight", "bias")}
    save_file(resampler, inside / "resampler.safetensors")
    save_file(layers, inside / "ip_layers.safetensors")
    if kind.has_reference:
        names = (f"{i}.to_{kv}_ref" for i in range(3) for kv in "kv")
        values = {name: torch.randn(24, 24) for name in names}
        reference = {f"{k}.weight": v for k, v in values.items()}
        reference |= {f"{k}.bias": v[0].clone() for k, v in values.items()}
        save_file(reference, inside / "ref_layers.safetensors")
    return folder


@pytest.mark.parametrize("kind", [FULL, LITE], ids=lambda kind: kind.name)
def test_a_snapshot_loads_whole_and_fits_the_model(golden, tmp_path, kind):
    adapter = load_lynx(save_lynx(golden, tmp_path, kind), kind, HEAD)
    same = load_lynx(tmp_path / kind.folder, kind, HEAD)
    wan = transformer(golden)
    attach_identity(wan, adapter.identity_layers)
    assert (adapter.reference_layers is not None) == kind.has_reference
    if adapter.reference_layers is not None:
        attach_reference(wan, adapter.reference_layers)
    faces = torch.nn.functional.normalize(torch.randn(2, 512), dim=-1)
    tokens = adapter.tokens(faces)
    width = adapter.identity_layers.config["id_dim"]
    assert tokens["cond"].shape == tokens["uncond"].shape == (1, 2, 4, width)
    torch.testing.assert_close(tokens["uncond"], adapter.tokens(faces * 0)["cond"])
    assert torch.allclose(tokens["cond"][0, 1:], same.resampler(faces[1:, None]), atol=1e-6)
    changed = predict(wan, golden, WanIdentity(tokens=tokens))
    assert (changed - golden["out.base"]).abs().max() > 0.01
    assert not any(weight.requires_grad for weight in adapter.resampler.parameters())


FAULTS = {
    "missing": (lambda w: w.pop("1.to_v_ip.bias"), "1 weights are not those of Lynx: 'layers.1."),
    "unexpected": (lambda w: w.update(extra=torch.zeros(2)), "'layers.extra' is unexpected"),
    "a layer too many": (
        lambda w: w.update({"4.to_k_ip.weight": torch.zeros(24, 24)}),
        "'layers.3.registers' is missing",
    ),
    "shape": (lambda w: w.update({"2.to_k_ip.weight": torch.zeros(24, 8)}), r"shape \[24, 8\], we"),
    "another file": (lambda w: w.pop("0.to_k_ip.weight"), "The file is not of Lynx"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_lynx_is_one_sentence(golden, tmp_path, fault):
    change, sentence = FAULTS[fault]
    file = save_lynx(golden, tmp_path) / FULL.folder / "ip_layers.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)
    with pytest.raises(ModelError, match=sentence):
        load_lynx(tmp_path, FULL, HEAD)


def test_missing_damaged_and_mixed_files_are_one_sentence(golden, tmp_path):
    folder = save_lynx(golden, tmp_path) / FULL.folder
    with pytest.raises(ModelError, match=r"'layers\.0\.to_k_ip\.bias' is unexpected"):
        load_lynx(folder, replace(LITE, folder="lynx_full"), HEAD)
    narrow = save_lynx(golden, tmp_path / "lite", LITE) / LITE.folder / "resampler.safetensors"
    own = (folder / "resampler.safetensors").read_bytes()
    (folder / "resampler.safetensors").write_bytes(narrow.read_bytes())
    with pytest.raises(ModelError, match="tokens of 16 numbers and its layers read 24"):
        load_lynx(folder, FULL, HEAD)
    (folder / "resampler.safetensors").write_bytes(own)
    file = folder / "ip_layers.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"ip_layers\.safetensors of Lynx full is damaged"):
        load_lynx(folder, FULL, HEAD)
    file.unlink()
    with pytest.raises(ModelError, match=r"lacks its file ip_layers\.safetensors") as caught:
        load_lynx(folder, FULL, HEAD)
    assert str(tmp_path) not in str(caught.value)


def wan_14b():
    """Wan-AI/Wan2.1-T2V-14B-Diffusers, without memory."""
    with torch.device("meta"):
        return WanTransformer3DModel(
            num_attention_heads=40,
            attention_head_dim=128,
            text_dim=4096,
            ffn_dim=13824,
            num_layers=40,
        )


def resampler_shapes(output):
    """Names and shapes of Lynx's full-size `resampler.safetensors`."""
    shapes = {"latents": (1, 16, 1280), "proj_in.weight": (1280, 512), "proj_in.bias": (1280,)}
    shapes |= {"proj_out.weight": (output, 1280), "proj_out.bias": (output,)}
    shapes |= {"norm_out.weight": (output,), "norm_out.bias": (output,)}
    for i in range(4):
        shapes |= {
            f"layers.{i}.0.{n}.{p}": (1280,) for n in ("norm1", "norm2") for p in ("weight", "bias")
        }
        shapes |= {
            f"layers.{i}.0.to_q.weight": (1280, 1280),
            f"layers.{i}.0.to_kv.weight": (2560, 1280),
        }
        shapes |= {f"layers.{i}.0.to_out.weight": (1280, 1280)}
        shapes |= {f"layers.{i}.1.0.weight": (1280,), f"layers.{i}.1.0.bias": (1280,)}
        shapes |= {f"layers.{i}.1.1.weight": (5120, 1280), f"layers.{i}.1.3.weight": (1280, 5120)}
    return shapes


def layer_shapes(count, suffix, width, bias):
    shapes = {f"{i}.to_{kv}_{suffix}.weight": (5120, width) for i in range(count) for kv in "kv"}
    if bias:
        shapes |= {f"{i}.to_{kv}_{suffix}.bias": (5120,) for i in range(count) for kv in "kv"}
    return shapes


def on_meta(shapes):
    return {
        name: torch.empty(shape, device="meta", dtype=torch.bfloat16)
        for name, shape in shapes.items()
    }


def count(model):
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("kind", [FULL, LITE], ids=lambda kind: kind.name)
def test_the_full_size_files_fit_wan_14b(kind):
    width = 5120 if kind is FULL else 2048
    shapes = layer_shapes(40 if kind is FULL else 20, "ip", width, bias=kind is FULL)
    if kind is FULL:
        shapes |= {f"{i}.registers": (1, 16, 5120) for i in range(40)}
    resampler = resampler_of(on_meta(resampler_shapes(width)))
    layers = identity_layers_of(on_meta(shapes), kind)
    wan = wan_14b()
    attach_identity(wan, layers)
    assert resampler.config["heads"] == 20
    assert list(layers.config["layer_ids"]) == list(range(0, 40, kind.stride))
    assert count(layers) / 1e9 == pytest.approx(2.1 if kind is FULL else 0.42, rel=0.02)
    assert count(resampler) / 1e6 == pytest.approx(86, rel=0.1)
    if kind.has_reference:
        reference = reference_layers_of(on_meta(layer_shapes(40, "ref", 5120, bias=True)))
        attach_reference(wan, reference)
        assert count(reference) / 1e9 == pytest.approx(2.1, rel=0.02)
    ref = card_of(kind.key).ref
    assert all(
        ref.wants(f"{kind.folder}/{name}.safetensors") for name in ("resampler", "ip_layers")
    )
    assert ref.wants(f"{kind.folder}/ref_layers.safetensors") or not kind.has_reference

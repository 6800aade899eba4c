"""Laws of identity attention on Wan: off is the stock model, regions confine, adapters are strict."""

from __future__ import annotations

import json

import pytest
import torch
import wan_tiny
from safetensors.torch import load_file, save_file

from idvid.errors import ModelError
from idvid.models.wan_attach import attach_identity, detach_identity, is_attached
from idvid.models.wan_attention import WanIdentity
from idvid.models.wan_hook import region_bias
from idvid.models.wan_identity import load_identity_layers

BUILDERS = {"t2v": wan_tiny.t2v_transformer, "vace": wan_tiny.vace_transformer}


def identity(**changes):
    values = {"tokens": {"cond": wan_tiny.identity_tokens()}} | changes
    return WanIdentity(**values)


@pytest.fixture(params=BUILDERS)
def kind(request):
    return request.param


@pytest.fixture
def base(kind):
    return wan_tiny.predict(BUILDERS[kind](), kind=kind)


@pytest.fixture
def attached(kind):
    transformer = BUILDERS[kind]()
    attach_identity(transformer, wan_tiny.identity_layers())
    return transformer


def test_strength_zero_and_no_identity_are_the_stock_model_bit_for_bit(kind, base, attached):
    def predict(value):
        return wan_tiny.predict(attached, value, kind)

    assert (predict(identity()) - base).abs().mean() > 0.05
    assert torch.equal(predict(identity(strength=0.0)), base)
    assert torch.equal(predict(None), base)
    assert torch.equal(predict(identity(tokens={})), base)


def test_a_zero_gate_is_the_stock_model_bit_for_bit(kind, base):
    transformer = BUILDERS[kind]()
    attach_identity(transformer, wan_tiny.identity_layers(gate=0.0))
    assert torch.equal(wan_tiny.predict(transformer, identity(), kind), base)


def test_detach_leaves_the_stock_model(kind, base, attached):
    detach_identity(attached)
    fresh = BUILDERS[kind]()
    assert not is_attached(attached)
    assert attached.state_dict().keys() == fresh.state_dict().keys()
    assert [type(p) for p in attached.attn_processors.values()] == [
        type(p) for p in fresh.attn_processors.values()
    ]
    assert torch.equal(wan_tiny.predict(attached, identity(), kind), base)
    attach_identity(attached, wan_tiny.identity_layers())
    assert not torch.equal(wan_tiny.predict(attached, identity(), kind), base)


def test_the_branches_of_guidance_read_their_own_tokens(attached, kind):
    first, second = wan_tiny.identity_tokens(3), wan_tiny.identity_tokens(4)
    both = identity(tokens={"cond": first, "uncond": second})
    for branch, tokens in (("cond", first), ("uncond", second)):
        expected = wan_tiny.predict(attached, identity(tokens={"cond": tokens}), kind)
        assert torch.equal(wan_tiny.predict(attached, both, kind, branch), expected)
    with torch.no_grad():  # a pipeline without contexts computes "cond"
        attention = {"identity": both}
        values = wan_tiny.inputs(kind)
        bare = attached(**values, attention_kwargs=attention, return_dict=False)[0]
    assert torch.equal(bare, wan_tiny.predict(attached, both, kind))


def halves():
    """Ana in the left column of tokens, Ben in the right one, nobody in the middle."""
    regions = torch.zeros(1, 2, *wan_tiny.GRID)
    regions[:, 0, ..., 0] = 1
    regions[:, 1, ..., 2] = 1
    return regions


def one_layer():
    """A model whose only layer with identity is the last, so that nothing mixes afterwards."""
    transformer = wan_tiny.t2v_transformer()
    attach_identity(transformer, wan_tiny.identity_layers(layer_ids=[2]))
    return transformer


def columns(difference):
    """Mean change per column of tokens; latents are (1, C, T, H, W), two columns a token."""
    return difference.abs().mean((0, 1, 2, 3)).view(-1, 2).mean(1)


def test_identity_stays_in_its_region_and_nobody_reads_another_character():
    transformer = one_layer()
    base = wan_tiny.predict(transformer)
    tokens, regions = wan_tiny.identity_tokens(), halves()
    placed = wan_tiny.predict(transformer, identity(regions=regions))
    left, middle, right = columns(placed - base).tolist()
    assert middle == 0
    assert min(left, right) > 0.01
    other = tokens.clone()
    other[:, 1] = torch.randn_like(other[:, 1])
    swapped = wan_tiny.predict(transformer, identity(tokens={"cond": other}, regions=regions))
    left, middle, right = columns(swapped - placed).tolist()
    assert (left, middle) == (0, 0)
    assert right > 0.01


def test_permuting_characters_with_their_regions_changes_nothing():
    transformer, tokens, regions = one_layer(), wan_tiny.identity_tokens(), halves() + 0.2
    one = wan_tiny.predict(transformer, identity(regions=regions))
    two = WanIdentity(tokens={"cond": tokens.flip(1)}, regions=regions.flip(1))
    torch.testing.assert_close(wan_tiny.predict(transformer, two), one, atol=1e-5, rtol=1e-4)


def test_one_character_in_a_region_is_that_character_alone():
    transformer, tokens = one_layer(), wan_tiny.identity_tokens()
    together = wan_tiny.predict(transformer, identity(regions=halves()))
    alone = WanIdentity(tokens={"cond": tokens[:, :1]}, regions=halves()[:, :1])
    difference = columns(wan_tiny.predict(transformer, alone) - together).tolist()
    assert difference[0] == pytest.approx(0, abs=1e-6)
    assert difference[2] > 0.01


def test_overlapping_regions_share_and_soft_ones_fade():
    regions = torch.tensor([[[1.0, 1.0, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0]]])
    bias, coverage = region_bias(regions, keys_per_character=2)
    assert coverage.flatten().tolist() == [1, 1, 0.5, 0]
    weights = bias[0, 0].softmax(-1)
    torch.testing.assert_close(weights[:, :2].sum(-1), torch.tensor([0.5, 1.0, 1.0, 0.5]))
    assert torch.isfinite(weights).all()


def test_regions_leave_out_the_reference_frames_that_vace_puts_first():
    transformer = wan_tiny.vace_transformer()
    attach_identity(transformer, wan_tiny.identity_layers(layer_ids=[2]))
    base = wan_tiny.predict(transformer, kind="vace")
    regions = torch.ones(1, 2, 2, *wan_tiny.GRID[1:])  # two frames of a video of three
    placed = wan_tiny.predict(transformer, identity(regions=regions), "vace")
    changed = (placed - base).abs().mean((0, 1, 3, 4))
    assert changed[0] == 0
    assert (changed[1:] > 0.01).all()
    with pytest.raises(ValueError, match="do not fit a video"):
        wan_tiny.predict(transformer, identity(regions=torch.ones(1, 2, 4, 2, 3)), "vace")


def test_registers_and_an_own_norm_are_part_of_the_formula():
    """Out = text + gate * attention(norm(to_q x), norm_k(to_k [t; reg]), to_v [t; reg])."""
    from torch.nn.functional import scaled_dot_product_attention as attention

    for own_k_norm in (False, True):
        transformer = wan_tiny.t2v_transformer()
        layers = wan_tiny.identity_layers(n_registers=3, own_k_norm=own_k_norm, gate=0.7)
        attach_identity(transformer, layers)
        attn, tokens = transformer.blocks[0].attn2, wan_tiny.identity_tokens(characters=1)
        x, text = torch.randn(1, 18, 24), torch.randn(1, 16, 24)
        with torch.no_grad():
            attn.processor.state.tokens = None
            plain = attn(x, text)
            attn.processor.state.tokens = tokens
            attn.processor.state.weight = torch.ones(1, 1, 1)
            ours = attn(x, text)
            kv = layers.layers[0]
            memory = torch.cat([tokens[0], kv.registers], 1)
            keys = kv.to_k_ip(memory)
            keys = (
                torch.nn.functional.rms_norm(keys, (24,), eps=1e-5)
                if own_k_norm
                else attn.norm_k(keys)
            )
            q, k, v = (
                value.view(1, -1, 2, 12).transpose(1, 2)
                for value in (attn.norm_q(attn.to_q(x)), keys, 0.7 * kv.to_v_ip(memory))
            )
            read = attention(q, k, v).transpose(1, 2).flatten(2)
            expected = plain + torch.nn.functional.linear(read, attn.to_out[0].weight)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
        assert (ours - plain).abs().mean() > 0.01


def test_an_adapter_is_saved_alone_and_loads_to_the_same_model(tmp_path):
    layers = wan_tiny.identity_layers(n_registers=2, layer_ids=[0, 2])
    transformer = wan_tiny.t2v_transformer()
    attach_identity(transformer, layers)
    expected = wan_tiny.predict(transformer, identity())
    layers.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    other = wan_tiny.t2v_transformer()
    attach_identity(other, load_identity_layers(tmp_path))
    assert torch.equal(wan_tiny.predict(other, identity()), expected)


def change_weights(folder, change):
    file = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


KEY = "layers.1.to_v_ip.weight"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda w: w.pop(KEY),
            f"1 of 15 weights of the identity layers are missing, '{KEY}' first",
        ),
        (
            lambda w: w.update(extra=torch.zeros(2)),
            "1 weights do not belong to the identity layers",
        ),
        (lambda w: w.update({KEY: torch.zeros(24, 3)}), r"has the shape \[24, 3\] and its config"),
    ],
)
def test_missing_unexpected_and_misshapen_weights_are_one_sentence(tmp_path, change, sentence):
    wan_tiny.identity_layers().save_pretrained(tmp_path)
    change_weights(tmp_path, change)
    with pytest.raises(ModelError, match=sentence):
        load_identity_layers(tmp_path)


def test_damaged_files_and_unknown_settings_are_one_sentence(tmp_path):
    wan_tiny.identity_layers().save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"magic": 1}))
    with pytest.raises(ModelError, match="setting 'magic' that this version"):
        load_identity_layers(tmp_path)
    config.write_text(json.dumps(values | {"dim": "wide"}))
    with pytest.raises(ModelError, match="values of the wrong kind"):
        load_identity_layers(tmp_path)
    config.write_text(json.dumps(values))
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ModelError, match="The weights of the identity layers are damaged"):
        load_identity_layers(tmp_path)
    file.unlink()
    with pytest.raises(ModelError, match="15 of 15 weights"):
        load_identity_layers(tmp_path)
    config.unlink()
    with pytest.raises(ModelError, match=r"no readable config\.json"):
        load_identity_layers(tmp_path)


def test_an_adapter_of_another_model_is_refused():
    transformer = wan_tiny.t2v_transformer()
    with pytest.raises(ModelError, match="is 48 wide and the model 24"):
        attach_identity(transformer, wan_tiny.identity_layers(dim=48))
    with pytest.raises(ModelError, match=r"for blocks .* to 3 and the model has 3"):
        attach_identity(transformer, wan_tiny.identity_layers(layer_ids=[0, 3]))
    assert not is_attached(transformer)

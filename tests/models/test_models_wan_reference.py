"""Laws of the reference layers on Wan: off is the stock model, on is the formula written out."""

import pytest
import torch
import wan_tiny
from diffusers.hooks import apply_group_offloading
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from idvid.errors import ModelError
from idvid.models.strict import load_strictly
from idvid.models.wan_attach import attach_identity
from idvid.models.wan_attention import WanIdentity
from idvid.models.wan_reference import (
    WanReferenceLayers,
    attach_reference,
    detach_reference,
    record_reference,
)
from idvid.models.wan_reference_attention import WanReference

BUILDERS = {"t2v": wan_tiny.t2v_transformer, "vace": wan_tiny.vace_transformer}
TEXT = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(5))


def reference_layers(**changes):
    torch.manual_seed(6)
    return WanReferenceLayers(**({"dim": 24, "num_layers": 3} | changes)).requires_grad_(False)


def face(seed=7):
    return torch.randn(1, 16, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def predict(transformer, reference=None, kind="t2v", branch="cond", identity=None):
    attention = {"reference": reference, "identity": identity}
    attention = {name: value for name, value in attention.items() if value is not None}
    with torch.no_grad(), transformer.cache_context(branch):
        values = wan_tiny.inputs(kind)
        return transformer(**values, attention_kwargs=attention, return_dict=False)[0]


def attached(build=wan_tiny.t2v_transformer):
    transformer = build()
    attach_reference(transformer, reference_layers())
    return transformer


def recorded(transformer, seed=7):
    return record_reference(transformer, face(seed), TEXT)


def rotated(values, grid, head_dim=12):
    """Rotary positions as Wan defines them, with complex numbers: (B, N, heads, d)."""
    side = 2 * (head_dim // 6)
    sizes = (head_dim - 2 * side, side, side)
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    angles = [
        axis.flatten()[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
        for axis, size in zip(axes, sizes, strict=True)
    ]
    turn = torch.polar(torch.ones(()), torch.cat(angles, -1))[None, :, None]
    pairs = torch.view_as_complex(values.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(3)


class WrittenOut:
    """The formula of the reference layers in plain sums, as an oracle."""

    def __init__(self, layer, features, strength):
        self.layer, self.features, self.strength = layer, features, strength

    def __call__(self, attn, hidden, *_):
        def heads(values):
            return values.unflatten(2, (attn.heads, -1))

        def attend(query, key, value):
            scores = torch.einsum("bnhd,bmhd->bhnm", query, key) / query.shape[-1] ** 0.5
            return torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), value).flatten(2)

        query, key = attn.norm_q(attn.to_q(hidden)), attn.norm_k(attn.to_k(hidden))
        turned = [rotated(heads(values), wan_tiny.GRID) for values in (query, key)]
        out = attend(*turned, heads(attn.to_v(hidden)))
        own_key = attn.norm_k(self.layer.to_k_ref(self.features))
        read = attend(heads(query), heads(own_key), heads(self.layer.to_v_ref(self.features)))
        return attn.to_out[0](out + self.strength * read)


def test_the_video_pass_is_the_formula_written_out():
    transformer = attached()
    features = recorded(transformer)
    ours = predict(transformer, WanReference(features={"cond": [features]}, strength=0.7))
    oracle, layers = wan_tiny.t2v_transformer(), reference_layers().layers
    for block, layer, own in zip(oracle.blocks, layers, features, strict=True):
        block.attn1.set_processor(WrittenOut(layer, own, 0.7))
    assert (ours - predict(oracle)).abs().max() < 1e-5
    assert (ours - predict(wan_tiny.t2v_transformer())).abs().mean() > 0.01


@pytest.mark.parametrize("kind", BUILDERS)
def test_without_a_reference_it_is_the_stock_model_bit_for_bit(kind):
    base = predict(BUILDERS[kind](), kind=kind)
    transformer = attached(BUILDERS[kind])
    features = [tuple(torch.randn(1, 4, 24) for _ in range(3))]
    on = WanReference(features={"cond": features})
    assert torch.equal(predict(transformer, kind=kind), base)
    assert torch.equal(predict(transformer, WanReference(features={}), kind), base)
    off = WanReference(features={"cond": features}, strength=0.0)
    assert torch.equal(predict(transformer, off, kind), base)
    assert torch.equal(predict(transformer, on, kind, branch="uncond"), base)
    assert not torch.equal(predict(transformer, on, kind), base)
    detach_reference(transformer)
    assert transformer.state_dict().keys() == BUILDERS[kind]().state_dict().keys()
    assert all(type(b.attn1.processor) is WanAttnProcessor for b in transformer.blocks)
    assert torch.equal(predict(transformer, on, kind), base)
    detach_reference(transformer)


def test_what_is_recorded_is_what_self_attention_reads_at_time_zero():
    stock, seen = wan_tiny.t2v_transformer(), []
    for block in stock.blocks:
        block.attn1.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    stock(face(), torch.tensor([0]), TEXT, return_dict=False)
    features = recorded(attached())
    assert [part.shape for part in features] == [(1, 4, 24)] * 3
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(features, seen, strict=True))


def test_recording_leaves_nothing_behind_even_if_it_fails():
    transformer = attached()
    base = predict(transformer)
    with pytest.raises(RuntimeError):
        record_reference(transformer, face()[:, :3], TEXT)
    assert len(recorded(transformer)) == 3
    assert torch.equal(predict(transformer), base)


def test_each_character_is_read_in_its_region_alone():
    transformer = wan_tiny.t2v_transformer()
    layers = reference_layers()
    for layer in layers.layers[:-1]:  # only the last block reads, so that nothing mixes afterwards
        layer.to_v_ref.weight.zero_()
        layer.to_v_ref.bias.zero_()
    attach_reference(transformer, layers)
    ana, ben, other = (recorded(transformer, seed) for seed in (7, 8, 9))
    regions = torch.zeros(1, 2, *wan_tiny.GRID)
    regions[:, 0, ..., 0] = 1
    regions[:, 1, ..., 2] = 1

    def columns(pair, against=None):
        video = predict(transformer, WanReference(features={"cond": pair}, regions=regions))
        video = video - (predict(transformer) if against is None else against)
        return video.abs().mean((0, 1, 2, 3)).view(-1, 2).mean(1).tolist()

    left, middle, right = columns([ana, ben])
    assert middle == 0
    assert min(left, right) > 1e-3
    both = predict(transformer, WanReference(features={"cond": [ana, ben]}, regions=regions))
    left, middle, right = columns([ana, other], both)
    assert (left, middle) == (0, 0)
    assert right > 1e-4
    swapped = WanReference(features={"cond": [ben, ana]}, regions=regions.flip(1))
    assert (predict(transformer, swapped) - both).abs().max() < 1e-6


def test_identity_tokens_and_a_reference_work_together_and_come_off_in_any_order():
    transformer = wan_tiny.t2v_transformer()
    attach_identity(transformer, wan_tiny.identity_layers())
    attach_reference(transformer, reference_layers())
    reference = WanReference(features={"cond": [recorded(transformer)]})
    identity = WanIdentity(tokens={"cond": wan_tiny.identity_tokens()})
    videos = [
        predict(transformer, *pair, identity=own)
        for pair, own in (
            ((), None),
            ((reference,), None),
            ((), identity),
            ((reference,), identity),
        )
    ]
    assert all((a - b).abs().mean() > 0.01 for i, a in enumerate(videos) for b in videos[:i])
    detach_reference(transformer)
    assert torch.equal(predict(transformer, identity=identity), videos[2])


def test_layers_come_back_by_name_from_a_folder(tmp_path):
    layers = reference_layers()
    layers.save_pretrained(tmp_path)
    again = load_strictly(WanReferenceLayers, tmp_path, "the reference layers")
    assert all(torch.equal(again.state_dict()[k], v) for k, v in layers.state_dict().items())


def test_group_offload_after_attaching_changes_nothing():
    whole, transformer = attached(), attached()
    device = torch.device("cpu")
    apply_group_offloading(transformer, device, device, "block_level", num_blocks_per_group=1)
    features = recorded(whole)
    moved = recorded(transformer)
    assert all((a - b).abs().max() < 1e-6 for a, b in zip(features, moved, strict=True))
    reference = WanReference(features={"cond": [features]})
    assert (predict(whole, reference) - predict(transformer, reference)).abs().max() < 1e-6


def test_what_does_not_fit_or_comes_too_late_is_one_sentence():
    with pytest.raises(ModelError, match="for 2 blocks of width 24 and the model has 3 of 24"):
        attach_reference(wan_tiny.t2v_transformer(), reference_layers(num_layers=2))
    with pytest.raises(ModelError, match="has reference layers already"):
        attach_reference(attached(), reference_layers())
    late, device = wan_tiny.t2v_transformer(), torch.device("cpu")
    apply_group_offloading(late, device, device, "block_level", num_blocks_per_group=1)
    with pytest.raises(ModelError, match="offloaded already; attach the reference layers first"):
        attach_reference(late, reference_layers())

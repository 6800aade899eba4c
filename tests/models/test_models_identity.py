"""Laws of the identity stack (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from idvid.conditioning.identity import identity_memory
from idvid.models.conditions import Conditions, Identity, Prompt
from idvid.models.face_plan import NUM_EXPRESSION
from idvid.models.identity_attention import mask_bias
from idvid.models.identity_bank import MultiCharacterIdentityBank
from idvid.models.identity_encoder import IdentityEncoder
from idvid.models.identity_loss import identity_preservation_loss

FRAMES, CHARACTERS, REFERENCES = 3, 2, 2
ROWS, COLUMNS = 4, 6


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def references():
    vectors = torch.nn.functional.normalize(torch.randn(1, CHARACTERS, REFERENCES, 32), dim=-1)
    patches = torch.randn(1, CHARACTERS, REFERENCES, 25, 16)
    return vectors, patches, torch.ones(1, CHARACTERS, REFERENCES, dtype=torch.bool)


def memory_of(model, references, slots=((0, 1),)):
    with torch.no_grad():
        return identity_memory(
            model.identity_encoder, model.identity_bank, *references, torch.tensor(slots)
        )


@pytest.fixture
def conditions(tiny_model, references):
    memory, owner = memory_of(tiny_model, references)
    eyes = torch.tensor([[0.6, 0.3], [0.5, 0.3], [0.2, 0.3], [0.3, 0.3], [0.4, 0.5]]) * 0.5
    places = torch.tensor([[0.1, 0.2], [0.9, 0.2]])
    landmarks = (eyes + places[:, None, None]).expand(-1, FRAMES, -1, -1)[None]
    return Conditions(
        time_s=torch.arange(FRAMES)[None] / 12,
        prompt=Prompt(
            tokens=torch.randn(1, 5, 64),
            is_token=torch.ones(1, 5, dtype=torch.bool),
            mentions=torch.eye(5)[None, :CHARACTERS],
        ),
        landmarks=landmarks,
        expression=torch.rand(1, CHARACTERS, FRAMES, NUM_EXPRESSION),
        is_visible=torch.ones(1, CHARACTERS, FRAMES, dtype=torch.bool),
        slots=torch.tensor([[0, 1]]),
        identity=Identity(
            memory=memory,
            owner=owner,
            anchors=torch.rand(1, FRAMES, 5, 2 * ROWS, 2 * COLUMNS),
            is_given=torch.ones(1, dtype=torch.bool),
        ),
    )


def predict(model, conditions):
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, FRAMES, 4, 2 * ROWS, 2 * COLUMNS, generator=generator)
    level = torch.tensor([[1.0, 0.3, 0.3]])
    with torch.no_grad():
        prepared = model.transformer.prepare(conditions, ROWS, COLUMNS)
        return model.transformer(latents, level, prepared)


def with_strength(conditions, strength):
    return replace(conditions, identity=replace(conditions.identity, strength=strength))


def test_strength_zero_is_the_base_model_bit_for_bit(tiny_model, conditions):
    base = predict(tiny_model, replace(conditions, identity=None))
    assert torch.equal(predict(tiny_model, with_strength(conditions, 0.0)), base)
    assert not torch.allclose(predict(tiny_model, with_strength(conditions, 0.8)), base, atol=1e-3)


def test_a_row_without_identity_is_the_base_model(tiny_model, conditions):
    base = predict(tiny_model, replace(conditions, identity=None))
    none = replace(conditions.identity, is_given=torch.zeros(1, dtype=torch.bool))
    torch.testing.assert_close(predict(tiny_model, replace(conditions, identity=none)), base)


def test_an_untrained_gate_changes_nothing(tiny_model, conditions):
    import copy

    fresh = copy.deepcopy(tiny_model.transformer)
    for block in fresh.blocks:
        torch.nn.init.zeros_(block.attention.identity_gate)
    torch.nn.init.zeros_(fresh.anchor_in.weight)
    torch.nn.init.zeros_(fresh.anchor_in.bias)
    torch.nn.init.zeros_(fresh.anchor_gain)
    torch.nn.init.zeros_(fresh.anchor_trust)
    model = replace(tiny_model, transformer=fresh)
    base = predict(model, replace(conditions, identity=None))
    torch.testing.assert_close(predict(model, conditions), base)


def test_permuting_characters_with_their_slots_changes_nothing(tiny_model, conditions, references):
    swapped = tuple(value.flip(1) for value in references)
    memory, owner = memory_of(tiny_model, swapped, slots=((1, 0),))
    permuted = replace(
        conditions,
        landmarks=conditions.landmarks.flip(1),
        expression=conditions.expression.flip(1),
        is_visible=conditions.is_visible.flip(1),
        slots=conditions.slots.flip(1),
        prompt=replace(conditions.prompt, mentions=conditions.prompt.mentions.flip(1)),
        identity=replace(conditions.identity, memory=memory, owner=owner),
    )
    expected = predict(tiny_model, conditions)
    torch.testing.assert_close(predict(tiny_model, permuted), expected, atol=1e-4, rtol=1e-4)


def test_with_hard_masks_a_token_never_reads_another_character(tiny_model, references):
    memory, owner = memory_of(tiny_model, references)
    masks = torch.full((1, CHARACTERS, 1, 4), -torch.inf)
    masks[:, 0, :, :2] = 0  # two tokens in the first face,
    masks[:, 1, :, 2] = 0  # one in the second, one in none
    bias = mask_bias(masks, owner)
    attention = tiny_model.transformer.blocks[0].attention
    hidden = torch.randn(1, 1, 4, 64)

    def read(memory):
        weight = torch.ones(1, 1, 1)
        with torch.no_grad():
            context = attention.identity_context(memory, bias, weight)
            return attention.attend_identity(hidden, context)

    other = torch.where(owner[..., None] == 1, torch.randn_like(memory), memory)
    before, after = read(memory), read(other)
    assert torch.equal(before[:, :, [0, 1, 3]], after[:, :, [0, 1, 3]])
    assert not torch.allclose(before[:, :, 2], after[:, :, 2])
    assert torch.isfinite(before).all()


def test_padding_references_are_never_read(tiny_model, references, conditions):
    vectors, patches, has_reference = references
    has_reference = has_reference.clone()
    has_reference[0, 1, 1] = False
    one = memory_of(tiny_model, (vectors, patches, has_reference))
    noise = patches.clone()
    noise[0, 1, 1] = 100.0
    other_vectors = vectors.clone()
    other_vectors[0, 1, 1] = -1.0
    two = memory_of(tiny_model, (other_vectors, noise, has_reference))
    outputs = [
        predict(
            tiny_model,
            replace(conditions, identity=replace(conditions.identity, memory=m, owner=o)),
        )
        for m, o in (one, two)
    ]
    assert torch.equal(*outputs)


def test_adding_a_reference_needs_no_other_shape(references):
    encoder = IdentityEncoder(face_vector=32, patch_features=16, width=64, num_tokens=4).eval()
    vectors, patches, has_reference = (value[0] for value in references)
    tokens_two, _ = encoder(vectors, patches, has_reference)
    tokens_one, _ = encoder(vectors[:, :1], patches[:, :1], has_reference[:, :1])
    assert tokens_one.shape == tokens_two.shape == (2, 4, 64)
    assert not torch.allclose(tokens_one, tokens_two)


def test_mean_pooling_averages_and_one_reference_is_its_own_mean(references):
    kept = IdentityEncoder(face_vector=32, patch_features=16, width=64, num_tokens=4).eval()
    sizes = {"face_vector": 32, "patch_features": 16, "width": 64, "num_tokens": 4}
    pooled = IdentityEncoder(**sizes, pooling="mean").eval()
    pooled.load_state_dict(kept.state_dict())
    vectors, patches, has_reference = (value[0] for value in references)
    one = (vectors[:, :1], patches[:, :1], has_reference[:, :1])
    torch.testing.assert_close(kept(*one)[0], pooled(*one)[0])
    tokens, dense = pooled(vectors, patches, has_reference)
    assert dense.shape == (2, 1, 25, 64)
    swapped = pooled(vectors.flip(1), patches.flip(1), has_reference)[0]
    torch.testing.assert_close(tokens, swapped)


def test_bank_puts_a_separator_after_each_character_and_names_owners():
    bank = MultiCharacterIdentityBank(width=8, max_characters=3)
    tokens = torch.zeros(1, 2, 4, 8)
    memory, owner = bank(tokens, torch.tensor([[2, 0]]), torch.tensor([[True, False]]))
    assert memory.shape == (1, 10, 8)
    assert owner.tolist() == [[0] * 5 + [-1] * 5]
    separator = bank.character_separator + bank.slot_embedding[2]
    torch.testing.assert_close(memory[0, 4], separator)


def test_bank_refuses_more_characters_than_slots():
    bank = MultiCharacterIdentityBank(width=8, max_characters=2)
    with pytest.raises(ValueError, match="3 characters were given and this bank has 2 slots"):
        bank(torch.zeros(1, 3, 1, 8), torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3) > 0)


def embed(crops):
    return torch.nn.functional.normalize(crops.flatten(1), dim=-1)


def test_identity_loss_is_zero_for_the_reference_itself_and_four_for_its_opposite():
    crop = torch.randn(1, 1, 3, 4, 4)
    reference = embed(crop.flatten(0, 1))[None]
    clip = crop.expand(1, 5, -1, -1, -1)
    assert identity_preservation_loss(clip, reference, embed).item() == pytest.approx(0, abs=1e-6)
    assert identity_preservation_loss(-clip, reference, embed).item() == pytest.approx(4, abs=1e-5)


def test_identity_loss_adds_the_temporal_term_with_its_weight():
    first, second = torch.randn(2, 1, 1, 3, 4, 4)
    clip = torch.cat([first, second], dim=1)
    references = embed(clip.flatten(0, 1))[None]  # both frames have a perfect reference
    step = (references[0, 0] - references[0, 1]).square().sum().item()
    full = identity_preservation_loss(clip, references, embed, lambda_temporal=0.5)
    assert full.item() == pytest.approx(0.5 * step, rel=1e-4)
    assert identity_preservation_loss(clip, references, embed, 0.0).item() == pytest.approx(
        0, abs=1e-6
    )


def test_identity_loss_leaves_out_frames_without_a_face_and_reaches_pixels():
    clip = torch.randn(1, 3, 3, 4, 4, requires_grad=True)
    references = embed(torch.randn(1, 3, 4, 4))[None]
    seen = torch.tensor([[True, False, False]])
    loss = identity_preservation_loss(clip, references, embed, has_face=seen)
    loss.backward()
    assert clip.grad[0, 0].abs().sum() > 0
    assert clip.grad[0, 1:].abs().sum() == 0
    nobody = torch.zeros(1, 3, dtype=torch.bool)
    assert identity_preservation_loss(clip, references, embed, has_face=nobody).item() == 0

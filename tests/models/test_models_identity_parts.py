"""What switching a part of the identity stack off takes away, and that nothing else changes."""

from __future__ import annotations

import copy

import pytest
import torch

from idvid.conditioning.identity import identity_memory
from idvid.config import GenerationSettings, IdentityParts
from idvid.models.identity_attention import mask_bias
from idvid.models.identity_bank import NO_OWNER, MultiCharacterIdentityBank

CHARACTERS, REFERENCES = 2, 3


@pytest.fixture
def references():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(1, CHARACTERS, REFERENCES, 32, generator=generator)
    patches = torch.randn(1, CHARACTERS, REFERENCES, 25, 16, generator=generator)
    return vectors, patches, torch.ones(1, CHARACTERS, REFERENCES, dtype=torch.bool)


def memory_of(model, references, bank=None, **off):
    bank = model.identity_bank if bank is None else bank
    slots, parts = torch.tensor([[0, 1]]), IdentityParts(**off)
    with torch.no_grad():
        return identity_memory(model.identity_encoder, bank, *references, slots, parts)


def other_bank(model, name):
    """The same bank with another parameter of that name."""
    bank = copy.deepcopy(model.identity_bank)
    with torch.no_grad():
        getattr(bank, name).add_(1.0)
    return bank


def readable(memory_and_owner):
    memory, owner = memory_and_owner
    return memory[owner != NO_OWNER], owner


def test_everything_is_on_unless_switched_off(tiny_model, references):
    assert GenerationSettings().parts == IdentityParts()
    default = identity_memory(
        tiny_model.identity_encoder, tiny_model.identity_bank, *references, torch.tensor([[0, 1]])
    )
    on = memory_of(tiny_model, references)
    assert torch.equal(default[0], on[0])
    assert torch.equal(default[1], on[1])


def test_without_separators_nobody_reads_one(tiny_model, references):
    other = other_bank(tiny_model, "character_separator")
    off, off_other = (
        readable(memory_of(tiny_model, references, bank, separators=False))
        for bank in (None, other)
    )
    assert torch.equal(off[0], off_other[0])
    on, on_other = (readable(memory_of(tiny_model, references, bank)) for bank in (None, other))
    assert not torch.equal(on[0], on_other[0])
    assert len(on[0]) - len(off[0]) == CHARACTERS


def test_without_slots_the_memory_does_not_depend_on_them(tiny_model, references):
    other = other_bank(tiny_model, "slot_embedding")
    off = [memory_of(tiny_model, references, bank, slots=False)[0] for bank in (None, other)]
    on = [memory_of(tiny_model, references, bank)[0] for bank in (None, other)]
    assert torch.equal(*off)
    assert not torch.equal(*on)


def test_averaged_references_are_one_reference_and_their_order_says_nothing(tiny_model, references):
    vectors, patches, has_reference = references
    one = tuple(value[:, :, :1] for value in references)
    together, owner = memory_of(tiny_model, references, separate_references=False)
    apart, _ = memory_of(tiny_model, references)
    assert together.shape[1] == memory_of(tiny_model, one)[0].shape[1] < apart.shape[1]
    assert (owner != NO_OWNER).all()
    turned = (vectors.flip(2), patches.flip(2), has_reference)
    torch.testing.assert_close(
        memory_of(tiny_model, turned, separate_references=False)[0], together
    )
    torch.testing.assert_close(
        memory_of(tiny_model, one, separate_references=False)[0], memory_of(tiny_model, one)[0]
    )


def test_without_regions_every_token_may_read_every_character():
    bank = MultiCharacterIdentityBank(width=8)
    _, owner = bank(torch.zeros(1, 2, 3, 8), torch.tensor([[0, 1]]), torch.tensor([[True, False]]))
    bias = mask_bias(torch.zeros(1, 2, 1, 5), owner)[0, 0]
    assert (bias[:, :5] == 0).all()  # the null token and the first character with its separator
    assert torch.isinf(bias[:, 5:]).all()  # padding stays unread


def test_parts_reach_the_picture(tiny_folder):
    """Each switch changes what the pipeline makes, and strength 0 makes them all alike."""
    import numpy as np

    from idvid.faces.quality import ReferenceFace
    from idvid.faces.types import Face
    from idvid.pipeline.generate import load_pipeline
    from idvid.types import Character, Scene

    rng = np.random.default_rng(0)
    points = np.array([[110, 80], [95, 82], [50, 80], [65, 82], [80, 110]], np.float32)
    face = Face(box=np.array([40, 50, 120, 130], np.float32), landmarks=points, score=1.0)
    photos = tuple(
        ReferenceFace(
            photo_index=k,
            image=rng.integers(0, 255, (200, 160, 3), dtype=np.uint8),
            face=face,
            embedding=np.zeros(128, np.float32),
        )
        for k in range(3)
    )
    people = tuple(Character(name=name, photos=()) for name in ("a", "b"))
    scene = Scene(prompt="@a and @b", characters=people, seconds=1 / 6)
    pipeline = load_pipeline(str(tiny_folder))

    def frames(strength=0.8, **off):
        settings = GenerationSettings(
            num_steps=1, identity_strength=strength, parts=IdentityParts(**off)
        )
        return pipeline(scene, (photos[:2], photos[2:]), settings).frames

    switches = IdentityParts.__slots__
    whole, base = frames(), frames(0.0)
    for name in switches:
        assert not np.array_equal(frames(**{name: False}), whole), name
        assert np.array_equal(frames(0.0, **{name: False}), base), name

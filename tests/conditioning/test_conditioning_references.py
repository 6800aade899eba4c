"""Laws of prompts and of references laid onto a face plan."""

from __future__ import annotations

import numpy as np
import torch

from idvid.conditioning.references import (
    ReferencePictures,
    anchor_frames,
    reference_features,
    reference_pictures,
)
from idvid.conditioning.text import compile_prompt, encode_words, split_words, unknown_words
from idvid.models.face_plan import face_frame
from idvid.types import Character

POINTS = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])


def picture(value):
    return torch.full((3, 80, 80), float(value))


def character(name, description=""):
    photo = np.zeros((8, 8, 3), np.uint8)
    return Character(name=name, photos=(photo,), description=description)


def test_a_reference_laid_at_its_own_place_is_itself():
    torch.manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 10, 10), size=80, mode="bilinear")[0]
    pictures = ReferencePictures(images=(image,), landmarks=POINTS[None])
    visible = torch.ones(1, 1, dtype=torch.bool)
    frames, coverage = anchor_frames([pictures], POINTS[None, None], visible, (80, 80))
    on_face = coverage[0, 0] > 0.9
    assert on_face.sum() > 50
    difference = (frames[0] / coverage[0].clamp(min=1e-3) - image).abs()[:, on_face]
    assert difference.max() < 1e-3


def test_the_best_posed_reference_is_laid():
    turned = POINTS.clone()
    turned[4, 0] -= 8  # the nose points to the left
    pictures = ReferencePictures(
        images=(picture(-1), picture(1)), landmarks=torch.stack([POINTS, turned])
    )
    visible = torch.ones(1, 2, dtype=torch.bool)
    plan = torch.stack([POINTS, turned])[None]
    frames, _ = anchor_frames([pictures], plan, visible, (80, 80))
    centre = (slice(None), 48, 40)
    assert (frames[0][centre] < 0).all()
    assert (frames[1][centre] > 0).all()


def test_frames_laid_together_are_as_laid_one_by_one():
    noise = torch.Generator().manual_seed(0)

    def scattered(*shape):
        return POINTS + 3 * torch.randn(*shape, 5, 2, generator=noise)

    cast = [
        ReferencePictures(
            images=(torch.rand(3, 80, 80, generator=noise), torch.rand(3, 64, 70, generator=noise)),
            landmarks=scattered(2),
        )
        for _ in range(2)
    ]
    plan = scattered(2, 6)
    visible = torch.tensor([[True, True, False, True, True, True], [False] + [True] * 5])
    together = anchor_frames(cast, plan, visible, (80, 96))
    for time in range(6):
        one = slice(time, time + 1)
        alone = anchor_frames(cast, plan[:, one], visible[:, one], (80, 96))
        assert torch.allclose(together[0][one], alone[0], atol=1e-5)
        assert torch.allclose(together[1][one], alone[1], atol=1e-6)
    assert (together[1].amax((1, 2, 3)) > 0.9).all()


def test_each_character_is_laid_at_their_own_face_and_nobody_where_not_visible():
    left, right = POINTS, POINTS + torch.tensor([100.0, 0])
    cast = [
        ReferencePictures(images=(picture(value),), landmarks=POINTS[None]) for value in (-1, 1)
    ]
    plan = torch.stack([left, right])[:, None]
    visible = torch.ones(2, 1, dtype=torch.bool)
    frames, _ = anchor_frames(cast, plan, visible, (80, 180))
    assert frames[0, 0, 48, 40] < -0.9
    assert frames[0, 0, 48, 140] > 0.9
    hidden, coverage = anchor_frames([cast[0], None], plan, visible & False, (80, 180))
    assert hidden.abs().sum() == 0
    assert coverage.sum() == 0


def test_large_photos_are_brought_to_the_videos_scale():
    photo = np.zeros((800, 600, 3), np.uint8)
    marks = POINTS.numpy() * 8
    pictures = reference_pictures([photo], [marks])
    width = face_frame(pictures.landmarks[0])[1].norm()
    assert abs(float(width) - 56) < 1
    small = reference_pictures([photo[:80, :80]], [POINTS.numpy()])
    assert small.images[0].shape == (3, 80, 80)


def test_features_of_a_photo_do_not_depend_on_its_neighbours(tiny_model):
    torch.manual_seed(0)
    images = tuple(torch.rand(3, 3, 80, 80) * 2 - 1)
    both = ReferencePictures(images=images, landmarks=POINTS.expand(3, -1, -1))
    alone = ReferencePictures(images=images[:1], landmarks=POINTS[None])
    parts = (tiny_model.backbone, tiny_model.autoencoder)
    many, one = reference_features(both, *parts), reference_features(alone, *parts)
    torch.testing.assert_close(many.vectors[:1], one.vectors, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(many.patches[:1], one.patches, atol=1e-5, rtol=1e-4)
    assert one.patches.shape == (1, 25, 16)


def test_mentions_become_slot_tokens_with_the_description_the_first_time():
    cast = (character("Ana", "Red hair."), character("Mary Jo"))
    words = compile_prompt("@ana waves, then @Mary_Jo hugs @Ana!", cast)
    assert words == ["<c1>", "red", "hair", "waves", "then", "<c2>", "hugs", "<c1>"]


def test_a_character_nobody_mentions_is_still_in_the_prompt():
    assert compile_prompt("rain", (character("Ana"), character("Ben"))) == ["rain", "<c1>", "<c2>"]


def test_a_mention_of_nobody_is_an_unknown_word(tiny_model):
    words = compile_prompt("@zoe and a man", (character("Ana"),))
    assert unknown_words(words, tiny_model.tokenizer) == ("@zoe",)


def test_unknown_words_are_left_out_of_the_ids(tiny_model):
    words = split_words("A zeppelin man")
    ids = encode_words(words, tiny_model.tokenizer)
    assert tiny_model.tokenizer.convert_ids_to_tokens(ids[0].tolist()) == ["a", "man"]
    assert encode_words(["zeppelin"], tiny_model.tokenizer).tolist() == [[0]]
    assert encode_words(["man"] * 500, tiny_model.tokenizer).shape == (1, 96)

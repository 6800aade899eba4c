"""Laws of prompts and of references as the bundled model reads them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from idvid.conditioning.references import (
    ReferencePictures,
    cut_out,
    reference_features,
    reference_pictures,
)
from idvid.conditioning.text import compile_prompt, encode_words, split_words, unknown_words
from idvid.models.face_plan import face_frame
from idvid.types import Character

POINTS = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])


def character(name, description=""):
    photo = np.zeros((8, 8, 3), np.uint8)
    return Character(name=name, photos=(photo,), description=description)


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


class Everything:
    """A matting network that takes all of a picture for the person."""

    config: ClassVar = {"size_px": 48}

    def __call__(self, heads):
        return torch.ones(len(heads), 1, 48, 48)


def test_people_are_cut_out_once_per_photo_and_fade_out_where_a_border_cuts_them_off():
    photos = [np.full((400, 400, 3), 90, np.uint8), np.full((400, 80, 3), 90, np.uint8)]
    points = [(POINTS + torch.tensor(moved)).numpy() for moved in ((160, 160), (0, 160))]
    pictures = reference_pictures(photos, points)
    assert cut_out(pictures, None) is pictures
    wide, narrow = cut_out(pictures, Everything()).mattes[:, 0]
    assert wide[24, 4:-4].min() > 0.99
    for rim in (wide[0], wide[-1], wide[:, 0], wide[:, -1]):
        assert rim.max() < 0.2  # the crop of the head ends there
    assert narrow[24, 24] == 1
    assert narrow[24, [2, -3]].max() == 0  # the photo ended before
    steps = narrow.diff(dim=1).abs()
    assert steps.max() < 0.5


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

"""What Wan and VACE read of a scene: plain prompts, heads on white, regions, identity tokens."""

from __future__ import annotations

from pathlib import Path

import made_up_faces
import numpy as np
import pytest
import torch
import wan_tiny
from PIL import Image

from idvid.conditioning.portraits import choose_portraits, portrait
from idvid.conditioning.prompt import plain_prompt
from idvid.conditioning.regions import OUTSIDE, bands, face_regions, find_characters
from idvid.conditioning.wan_tokens import reference_crops, wan_identity
from idvid.faces.quality import ReferenceFace, check_references
from idvid.models.checkpoint import load_part
from idvid.pipeline.generate import BUNDLED
from idvid.types import Character

DATA = Path(__file__).parents[1] / "faces" / "data"
NOBODY = np.zeros((8, 8, 3), np.uint8)


def cast(*people):
    return [Character(name=n, photos=(NOBODY,), description=d) for n, d in people]


@pytest.mark.parametrize(
    ("prompt", "people", "expected"),
    [
        (
            "@Ana laughs, then @ana looks left.",
            [("Ana", "a tall woman with red hair.")],
            "Ana (a tall woman with red hair) laughs, then Ana looks left.",
        ),
        (
            "@Ana_Maria meets a friend",
            [("Ana Maria", ""), ("Ben", "an old man")],
            "Ana Maria meets a friend. With Ben (an old man). From left to right: Ana Maria, Ben.",
        ),
        ("@Ben stands behind @Ana", [("Ana", ""), ("Ben", "")], "Ben stands behind Ana"),
        ("write to me@home, @Ana", [("Ana", "")], "write to me@home, Ana"),
    ],
)
def test_mentions_become_names_with_descriptions_and_places(prompt, people, expected):
    assert plain_prompt(prompt, cast(*people)) == expected


@pytest.mark.parametrize(
    ("counts", "chosen"), [((5,), [3]), ((4, 1), [2, 1]), ((3, 3, 3), [1] * 3)]
)
def test_a_bounded_number_of_photos_is_chosen_for_everybody(counts, chosen):
    assert [len(own) for own in choose_portraits(made_up_faces.references(*counts))] == chosen


def test_the_largest_faces_are_chosen_first():
    small, large = made_up_faces.references(2)[0]
    wide = ReferenceFace(
        photo_index=1,
        image=large.image,
        face=type(large.face)(box=2 * large.face.box, landmarks=large.face.landmarks, score=1.0),
        embedding=large.embedding,
    )
    assert choose_portraits([(small, small, small, wide)])[0][0] is wide


def test_a_portrait_shows_the_head_upright_on_white():
    """A red square for a face, turned on its side, in a blue room."""
    upright = np.full((200, 160, 3), (0, 0, 255), np.uint8)
    upright[40:150, 30:130] = (255, 0, 0)
    points = made_up_faces.POINTS
    turned = np.rot90(upright).copy()  # (x, y) -> (y, 159 - x)
    turned_points = np.stack([points[:, 1], 159 - points[:, 0]], 1).astype(np.float32)
    shown = []
    for image, landmarks in ((upright, points), (turned, turned_points)):
        face = type(made_up_faces.references(1)[0][0].face)(
            box=made_up_faces.BOX, landmarks=landmarks, score=1.0
        )
        reference = ReferenceFace(
            photo_index=0, image=image, face=face, embedding=np.zeros(128, np.float32)
        )
        shown.append(portrait(reference, size=128).astype(int))
    one, other = shown
    assert one.shape == (128, 128, 3)
    assert tuple(one[60, 64]) == (255, 0, 0)
    corners = one[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all()
    assert np.abs(one - other).mean() < 3  # resampling at the edges


def test_beyond_the_photo_it_is_white_and_not_black():
    image = np.full((60, 60, 3), 90, np.uint8)
    made = made_up_faces.references(1)[0][0]
    reference = ReferenceFace(photo_index=0, image=image, face=made.face, embedding=made.embedding)
    assert portrait(reference, 64).min() >= 90


def test_bands_go_from_left_to_right_and_cover_the_frame():
    regions = bands(3, (2, 4, 12))
    assert regions.shape == (1, 3, 2, 4, 12)
    assert regions[0, :, 0, 0].argmax(0).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert regions.min() >= OUTSIDE
    assert regions.max() <= 1


@pytest.fixture(scope="module")
def frame():
    """A frame (128, 224, 3) with people 900000 and 900001."""
    with Image.open(DATA / "clip_900000_900001.webp") as picture:
        return np.asarray(picture.convert("RGB")).reshape(12, 128, 224, 3)[0]


@pytest.fixture(scope="module")
def known():
    """The references of both, as the page would have them."""

    def photos(seed):
        for index in range(3):
            with Image.open(DATA / f"person{seed}_{index}.webp") as picture:
                yield np.asarray(picture.convert("RGB"))

    people = (Character(name=str(s), photos=tuple(photos(s))) for s in (900000, 900001))
    return check_references(tuple(people)).references


def test_people_are_found_by_the_conditioning_backbone(frame, known):
    backbone = load_part("backbone", BUNDLED / "backbone")
    crops = reference_crops(known)
    with torch.no_grad():
        galleries = [
            backbone(c[has]) for c, has in zip(crops.chips, crops.has_reference, strict=True)
        ]
    one = find_characters(frame, backbone, galleries)
    other = find_characters(frame, backbone, galleries[::-1])
    assert all(face is not None for face in one)
    assert torch.equal(one[0], other[1])  # whoever comes first, each has their own face
    assert torch.equal(one[1], other[0])
    assert find_characters(np.zeros_like(frame), backbone, galleries) == [None, None]

    regions = face_regions(one, (3, 8, 14), 128)
    assert regions.shape == (1, 2, 3, 8, 14)
    for character, points in enumerate(one):
        column, row = (points.mean(0) / 16).long().tolist()
        assert regions[0, :, 0, row, column].argmax() == character
        assert regions[0, character, 0, row, column] > 0.7
    lost = face_regions([one[0], None], (3, 8, 14), 128)
    column, row = (one[0].mean(0) / 16).long().tolist()
    assert lost[0, 1, 0, row, column] < 0.2  # elsewhere than the other
    assert lost[0, 1].max() > 0.9


def test_tokens_of_a_character_do_not_depend_on_padding(known):
    adapter = wan_tiny.adapter()
    tokens, vectors = wan_identity(adapter, reference_crops(known))
    assert tokens.shape == (1, 2, 4 + 1, 64)
    assert vectors.shape == (2, max(map(len, known)), 32)
    fewer = (known[0], known[1][:1])
    padded, _ = wan_identity(adapter, reference_crops(fewer))
    torch.testing.assert_close(padded[:, 0], tokens[:, 0])
    alone, _ = wan_identity(adapter, reference_crops(fewer[1:]))
    bank = adapter.identity_bank.slot_embedding
    torch.testing.assert_close(alone[0, 0] - bank[0], padded[0, 1] - bank[1])
    assert not torch.allclose(padded[:, 1], tokens[:, 1])

import numpy as np
import pytest
from PIL import Image, ImageFilter

from idvid.errors import ReferencePhotoError
from idvid.faces.quality import check_references
from idvid.types import Character


def _codes(*photos, name="Ana"):
    check = check_references((Character(name=name, photos=photos),))
    return [finding.code for finding in check.findings], check


def _resized(image, width):
    return np.asarray(Image.fromarray(image).resize((width, width), Image.Resampling.LANCZOS))


def _two_faces(photos):
    return np.concatenate([photos[900000][0], photos[900001][0]], axis=1)


SPOILED = {
    "blurred": lambda p: np.asarray(
        Image.fromarray(p[900000][0]).filter(ImageFilter.GaussianBlur(2.5))
    ),
    "dark": lambda p: (p[900000][0] * 0.22).astype(np.uint8),
    "bright": lambda p: np.clip(p[900000][0] * 2.0, 0, 255).astype(np.uint8),
    "small_face": lambda p: _resized(p[900000][0], 112),
    "several_faces": _two_faces,
}


def test_good_portraits_give_no_finding(photos):
    characters = tuple(
        Character(name=str(seed), photos=gallery) for seed, gallery in photos.items()
    )
    check = check_references(characters)
    assert check.findings == ()
    assert [len(faces) for faces in check.references] == [4, 4, 4]
    assert [gallery.shape for gallery in check.galleries()] == [(4, 128)] * 3


@pytest.mark.parametrize("code", SPOILED)
def test_a_spoiled_photo_gets_its_finding_and_stays_usable(code, photos):
    codes, check = _codes(SPOILED[code](photos))
    (finding,) = (f for f in check.findings if f.code == code)
    assert codes == [code]
    assert finding.severity == "warning"
    assert finding.photo_index == 0
    assert "hoto 1 of 'Ana'" in finding.message
    assert any(character.isdigit() for character in finding.message.replace("hoto 1", ""))
    assert finding.message.endswith(".")
    assert len(check.references[0]) == 1


def test_a_turned_head_is_named_with_its_angle(turned_photo):
    codes, check = _codes(turned_photo)
    assert codes == ["turned"]
    angle = int(check.findings[0].message.split("about ")[1].split(" ")[0])
    assert 33 <= angle <= 50


def test_the_largest_of_several_faces_is_used(photos):
    pair = np.zeros((224, 400, 3), np.uint8)
    pair[:150, :150] = _resized(photos[900001][0], 150)
    pair[:, 176:] = photos[900000][0]
    codes, check = _codes(pair)
    assert codes == ["several_faces"]
    assert "2 faces" in check.findings[0].message
    assert check.references[0][0].face.box[0] > 176


def test_a_photo_without_a_face_is_left_out_but_the_character_stays(photos):
    codes, check = _codes(np.full((200, 300, 3), 90, np.uint8), photos[900000][0])
    assert codes == ["no_face"]
    assert "300 x 200" in check.findings[0].message
    assert [r.photo_index for r in check.references[0]] == [1]
    check.raise_if_refused()


@pytest.mark.parametrize("width", [40, 64])
def test_a_character_is_refused_only_when_nothing_usable_remains(photos, width):
    unusable = _resized(photos[900000][0], width)
    codes, check = _codes(unusable, np.zeros((100, 100, 3), np.uint8))
    assert codes[-1] == "no_usable_photo"
    assert check.references == ((),)
    with pytest.raises(ReferencePhotoError, match="'Ana' in any of the 2 photos"):
        check.galleries()


def test_a_resaved_copy_is_left_out(photos):
    original = photos[900000][0]
    codes, check = _codes(original, photos[900000][1], _resized(original, 200))
    assert codes == ["duplicate"]
    assert check.findings[0].photo_index == 2
    assert [r.photo_index for r in check.references[0]] == [0, 1]


def test_a_stranger_among_the_photos_is_named(photos):
    codes, check = _codes(*photos[900000][:2], photos[900004][0])
    assert codes == ["not_one_person"]
    assert "photo 3 comes" in check.findings[0].message
    assert len(check.references[0]) == 3


def test_two_characters_with_one_face_are_reported(photos):
    ana = Character(name="Ana", photos=photos[900000][:2])
    bob = Character(name="Bob", photos=photos[900000][2:])
    check = check_references((ana, bob))
    assert [finding.code for finding in check.findings] == ["look_alike"]
    assert "'Ana' and 'Bob'" in check.findings[0].message

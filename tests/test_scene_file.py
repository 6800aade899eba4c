"""Laws of scenes: a file reads back as it was written, and every broken rule is one sentence."""

import dataclasses
import json

import numpy as np
import pytest

from idvid.errors import InputError
from idvid.media.image import write_png
from idvid.scene_file import mention, read_scene, validate_scene, write_scene
from idvid.types import Character, Scene

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 32, 3)).astype(np.uint8)


def scene(**changes):
    cast = (
        Character(name="Ana Maria", photos=(PHOTO, PHOTO[::-1]), description="red coat"),
        Character(name="Bob-2", photos=(PHOTO[:, ::-1],)),
    )
    made = Scene(prompt="@Ana_Maria waves at @bob-2.", characters=cast, seconds=2.5, seed=7)
    return dataclasses.replace(made, **changes)


def named(*names):
    return tuple(Character(name=name, photos=(PHOTO,)) for name in names)


def test_a_scene_reads_back_as_it_was_written(tmp_path):
    write_scene(scene(), tmp_path / "meeting.json")
    again = read_scene(tmp_path / "meeting.json")
    assert (again.prompt, again.seconds, again.seed) == (scene().prompt, 2.5, 7)
    for ours, theirs in zip(scene().characters, again.characters, strict=True):
        assert (ours.name, ours.description) == (theirs.name, theirs.description)
        assert all(np.array_equal(a, b) for a, b in zip(ours.photos, theirs.photos, strict=True))


def test_photos_may_lie_in_a_folder_next_to_the_file(tmp_path):
    (tmp_path / "scenes").mkdir()
    write_png(PHOTO, tmp_path / "ana.png")
    entry = {"prompt": "@Ana laughs", "characters": [{"name": "Ana", "photos": ["../ana.png"]}]}
    (tmp_path / "scenes" / "s.json").write_text(json.dumps(entry))
    read = read_scene(tmp_path / "scenes" / "s.json")
    assert (read.seconds, read.seed) == (4.0, 0)
    assert np.array_equal(read.characters[0].photos[0], PHOTO)


def test_names_with_spaces_are_mentioned_with_underscores():
    assert mention("Ana Maria") == "@Ana_Maria"
    validate_scene(scene(prompt="@ana_maria, write to me@example.com about @BOB-2's hat"))


BROKEN_SCENES = {
    "empty prompt": ({"prompt": "  "}, "prompt is empty"),
    "long prompt": ({"prompt": "x" * 1001}, "1001 characters"),
    "too short": ({"seconds": 0.9}, "from 1 to 30 seconds"),
    "too long": ({"seconds": 30.1}, "from 1 to 30 seconds"),
    "nan": ({"seconds": float("nan")}, "from 1 to 30 seconds"),
    "infinite": ({"seconds": float("inf")}, "from 1 to 30 seconds"),
    "negative seed": ({"seed": -1}, "from 0 to 2147483647"),
    "huge seed": ({"seed": 2**31}, "from 0 to 2147483647"),
    "nobody": ({"characters": ()}, "1 to 8 characters, not 0"),
    "nine": ({"characters": named(*"abcdefghi")}, "1 to 8 characters, not 9"),
    "empty name": ({"characters": named("")}, "Character 1 has no name"),
    "blank name": ({"characters": named("  ")}, "Character 1 has no name"),
    "long name": ({"characters": named("x" * 500)}, "500 characters"),
    "html": ({"characters": named("<b>Ana</b>")}, "character 1 may hold only letters"),
    "path": ({"characters": named("../../etc/passwd")}, "may hold only letters"),
    "line break": ({"characters": named("Ana\nBob")}, "may hold only letters"),
    "no letter": ({"characters": named("-_-")}, "may hold only letters"),
    "outer space": ({"characters": named(" Ana")}, "may hold only letters"),
    "same name": ({"characters": named("Ana", "ana")}, "Two characters are called 'ana'"),
    "same mention": ({"characters": named("A B", "a_b")}, "Two characters are called 'a_b'"),
    "no photo": ({"characters": (Character(name="Ana", photos=()),)}, "Ana has 0 photos"),
    "nine photos": ({"characters": (Character(name="Ana", photos=(PHOTO,) * 9),)}, "has 9 photos"),
    "long description": (
        {"characters": (Character(name="Ana", photos=(PHOTO,), description="x" * 501),)},
        "501 characters",
    ),
    "stranger": ({"prompt": "@Anna_Maria waves"}, "mentions @Anna_Maria, but nobody"),
}


@pytest.mark.parametrize("case", BROKEN_SCENES)
def test_a_broken_rule_is_one_sentence(case):
    changes, reason = BROKEN_SCENES[case]
    if "characters" in changes:
        changes = {"prompt": "somebody waves", **changes}
    with pytest.raises(InputError) as caught:
        validate_scene(scene(**changes))
    message = str(caught.value)
    assert reason in message
    assert message.endswith(".")
    assert "<" not in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["Ana", "Zoë", "李雷", "Anne-Marie de la Tour", "x" * 40, "R2_D2"])
def test_people_may_have_their_own_names(name):
    validate_scene(scene(prompt=f"{mention(name)} waves", characters=named(name)))


ANA = {"name": "Ana", "photos": ["ana.png"]}
GOOD = {"prompt": "@Ana waves", "seconds": 2, "seed": 1, "characters": [ANA]}
BROKEN_FILES = {
    "empty": ("", "not valid JSON"),
    "no json": ("prompt: hello", "not valid JSON"),
    "binary": ("\x00\x01", "not valid JSON"),
    "list": ("[]", "'the whole file'"),
    "nan": ('{"prompt": "x", "seconds": NaN, "characters": []}', "'seconds'"),
    "no prompt": (json.dumps({"characters": [ANA]}), "'prompt' is missing"),
    "unknown key": (json.dumps({**GOOD, "sede": 1}), "'sede' is not known"),
    "text as number": (json.dumps({**GOOD, "seconds": "2"}), "'seconds' should be a valid number"),
    "fraction as seed": (json.dumps({**GOOD, "seed": 1.5}), "'seed' should be a valid integer"),
    "truth as seed": (json.dumps({**GOOD, "seed": True}), "'seed'"),
    "huge number": (json.dumps({**GOOD, "seconds": 1e300}), "from 1 to 30 seconds"),
    "endless seed": (json.dumps({**GOOD, "seed": 10**400}), "seed must be a whole number"),
    "photos as text": (
        json.dumps({**GOOD, "characters": [{"name": "Ana", "photos": "ana.png"}]}),
        "'characters[0].photos'",
    ),
    "nine people": (json.dumps({**GOOD, "characters": [ANA] * 9}), "at most 8 items"),
    "html as key": (json.dumps({**GOOD, "<b>": 1}), "'_b_' is not known"),
}


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_a_broken_file_is_one_sentence(tmp_path, case):
    text, reason = BROKEN_FILES[case]
    write_png(PHOTO, tmp_path / "ana.png")
    (tmp_path / "scene.json").write_text(text)
    assert_refused(tmp_path, reason)


BROKEN_PHOTOS = {
    "missing": ("gone.png", "gone.png cannot be read"),
    "a folder": (".", "cannot be read"),
    "empty path": ("", "empty or broken"),
    "zero byte": ("a\0.png", "empty or broken"),
    "absolute": ("/etc/hostname", "hostname is absolute"),
    "drive": ("C:\\ana.png", "ana.png is absolute"),
    "address": ("http://127.0.0.1/ana.png", "ana.png cannot be read"),
    "no picture": ("scene.json", "not a picture"),
}


@pytest.mark.parametrize("case", BROKEN_PHOTOS)
def test_a_photo_that_cannot_be_used_is_one_sentence(tmp_path, case):
    photo, reason = BROKEN_PHOTOS[case]
    entry = {**GOOD, "characters": [{"name": "Ana", "photos": [photo]}]}
    (tmp_path / "scene.json").write_text(json.dumps(entry))
    assert_refused(tmp_path, reason)


def test_a_missing_or_enormous_file_is_refused(tmp_path):
    assert_refused(tmp_path, "scene.json cannot be read")
    (tmp_path / "scene.json").write_text(" " * 1_000_001)
    assert_refused(tmp_path, "over 1 MB")


def assert_refused(folder, reason):
    with pytest.raises(InputError) as caught:
        read_scene(folder / "scene.json")
    message = str(caught.value)
    assert reason in message
    assert message.endswith(".")
    assert "\n" not in message
    assert str(folder) not in message

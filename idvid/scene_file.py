"""Scenes as JSON files, and the rules that every scene obeys wherever it comes from.

A scene file holds `prompt`, `seconds`, `seed` and `characters: [{name, photos, description}]`;
photo paths are relative to the file.

A character is mentioned in the prompt by an at sign and the name, with an underscore for each
space: "Ana Maria" is `@Ana_Maria`, capitals or not (`mention`).
"""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from idvid.config import (
    MAX_CHARACTERS,
    MAX_NAME_LENGTH,
    MAX_PHOTOS,
    MAX_PROMPT_LENGTH,
    MAX_SECONDS,
    MAX_SEED,
    MIN_SECONDS,
)
from idvid.errors import InputError
from idvid.media.image import read_image, shown_name, write_png
from idvid.types import Character, Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic_core import ErrorDetails

MAX_DESCRIPTION_LENGTH = 500
MAX_FILE_BYTES = 1_000_000
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_MENTION = re.compile(r"(?<!\w)@([\w-]+)")


class CharacterEntry(BaseModel):
    """One character as the file spells it."""

    model_config = _STRICT
    name: str
    photos: Annotated[list[str], Field(min_length=1, max_length=MAX_PHOTOS)]
    description: str = ""


class SceneEntry(BaseModel):
    """A scene as the file spells it."""

    model_config = _STRICT
    prompt: str
    seconds: float = 4.0
    seed: int = 0
    characters: Annotated[list[CharacterEntry], Field(min_length=1, max_length=MAX_CHARACTERS)]


def mention(name: str) -> str:
    """How a prompt mentions the character of this name."""
    return "@" + name.replace(" ", "_")


def mentions(prompt: str) -> list[str]:
    """The names that a prompt mentions, as it writes them and in its order, without the `@`."""
    return _MENTION.findall(prompt)


def read_scene(path: Path) -> Scene:
    """Read a scene file and its photos.

    Raises:
        InputError: If the file, a value in it or one of the photos is not as it must be.
    """
    shown = shown_name(path.name)
    try:
        entry = SceneEntry.model_validate_json(_read_text(path, shown))
    except ValidationError as error:
        raise InputError(f"{shown}: {_sentence(error.errors()[0])}") from error
    scene = Scene(
        prompt=entry.prompt.strip(),
        characters=tuple(_character(c, path.parent) for c in entry.characters),
        seconds=entry.seconds,
        seed=entry.seed,
    )
    validate_scene(scene)
    return scene


def write_scene(scene: Scene, path: Path) -> None:
    """Write a scene file, and its photos as PNG into the folder `<stem>-photos` beside it."""
    validate_scene(scene)
    folder = path.parent / f"{path.stem}-photos"
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[CharacterEntry] = []
    for slot, character in enumerate(scene.characters, start=1):
        files = [f"{slot}-{number}.png" for number in range(1, len(character.photos) + 1)]
        for photo, file in zip(character.photos, files, strict=True):
            write_png(photo, folder / file)
        entries.append(
            CharacterEntry(
                name=character.name,
                photos=[f"{folder.name}/{file}" for file in files],
                description=character.description,
            )
        )
    entry = SceneEntry(
        prompt=scene.prompt, seconds=scene.seconds, seed=scene.seed, characters=entries
    )
    path.write_text(entry.model_dump_json(indent=2) + "\n", encoding="utf-8")


def validate_scene(scene: Scene) -> None:
    """Refuse a scene that breaks a rule of idvid, whoever made it.

    Raises:
        InputError: Says which value is wrong and what is allowed.
    """
    if not scene.prompt.strip():
        raise InputError("The prompt is empty; write what happens, for example '@Ana laughs'.")
    if len(scene.prompt) > MAX_PROMPT_LENGTH:
        raise InputError(
            f"The prompt has {len(scene.prompt)} characters; write at most {MAX_PROMPT_LENGTH}."
        )
    if not (math.isfinite(scene.seconds) and MIN_SECONDS <= scene.seconds <= MAX_SECONDS):
        raise InputError(
            f"The length must be from {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds; "
            "change the seconds."
        )
    if not 0 <= scene.seed <= MAX_SEED:
        raise InputError(f"The seed must be a whole number from 0 to {MAX_SEED}; change the seed.")
    validate_characters(scene.characters)
    _validate_mentions(scene)


def validate_characters(characters: tuple[Character, ...]) -> None:
    """Refuse a cast that breaks a rule of idvid; see `validate_scene`."""
    if not 1 <= len(characters) <= MAX_CHARACTERS:
        raise InputError(
            f"A scene has 1 to {MAX_CHARACTERS} characters, not {len(characters)}; "
            "add or remove some."
        )
    taken: set[str] = set()
    for number, character in enumerate(characters, start=1):
        _validate_character(character, number)
        if (key := mention(character.name).casefold()) in taken:
            raise InputError(
                f"Two characters are called '{character.name}'; give each a name of its own."
            )
        taken.add(key)


def _validate_character(character: Character, number: int) -> None:
    name = character.name
    if not name.strip():
        raise InputError(f"Character {number} has no name; give one, for example 'Ana'.")
    if len(name) > MAX_NAME_LENGTH:
        raise InputError(
            f"The name of character {number} has {len(name)} characters; "
            f"use at most {MAX_NAME_LENGTH}."
        )
    plain = all(c.isalnum() or c in " -_" for c in name) and any(c.isalnum() for c in name)
    if not plain or name != name.strip():
        raise InputError(
            f"The name of character {number} may hold only letters, digits, spaces inside, "
            " '-' and '_'; change the name."
        )
    if not 1 <= len(character.photos) <= MAX_PHOTOS:
        raise InputError(
            f"{name} has {len(character.photos)} photos; give 1 to {MAX_PHOTOS} of them."
        )
    if len(character.description) > MAX_DESCRIPTION_LENGTH:
        raise InputError(
            f"The description of {name} has {len(character.description)} characters; "
            f"write at most {MAX_DESCRIPTION_LENGTH}."
        )


def _validate_mentions(scene: Scene) -> None:
    """A mistyped mention would silently draw a stranger."""
    known = {mention(c.name).casefold() for c in scene.characters}
    for word in mentions(scene.prompt):
        if f"@{word}".casefold() not in known:
            names = ", ".join(mention(c.name) for c in scene.characters)
            raise InputError(
                f"The prompt mentions @{word[:MAX_NAME_LENGTH]}, but nobody has that name; "
                f"you can mention {names}."
            )


def _read_text(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{shown} cannot be read; check that the file exists.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(f"{shown} is over {MAX_FILE_BYTES // 10**6} MB and no scene file.")
    return raw


def _character(entry: CharacterEntry, folder: Path) -> Character:
    return Character(
        name=entry.name.strip().removeprefix("@"),
        photos=tuple(_photo(photo, folder) for photo in entry.photos),
        description=entry.description.strip(),
    )


def _photo(relative: str, folder: Path) -> NDArray[np.uint8]:
    shown = shown_name(relative)
    if PurePosixPath(relative).is_absolute() or PureWindowsPath(relative).drive:
        raise InputError(f"The path of {shown} is absolute; make it relative to the scene file.")
    if not relative.strip() or "\0" in relative:
        raise InputError("A photo's path is empty or broken; name a file beside the scene file.")
    return read_image(folder / relative, shown)


def _sentence(error: ErrorDetails) -> str:
    """A user's sentence for the first thing that is wrong with the form of a file."""
    if error["type"] == "json_invalid":
        return "this is not valid JSON; check commas, quotes and brackets."
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"])
    where = shown_name(where.lstrip(".")) if where else "the whole file"
    if error["type"] == "extra_forbidden":
        return f"'{where}' is not known here; remove it or correct its spelling."
    if error["type"] == "missing":
        return f"'{where}' is missing; add it."
    message = error["msg"].removeprefix("Input ")
    return f"'{where}' {message}; correct it."

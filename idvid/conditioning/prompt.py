"""Prompts as large public text encoders read them: names and descriptions in plain words.

`@name` becomes the character's name, followed by the description the first time. Such encoders know
every word, but no name: it is the description and the place that tie a reference to a person.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from idvid.scene_file import mention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from idvid.types import Character

_MENTION = re.compile(r"(?<!\w)@[\w-]+")
_PLACE = re.compile(r"\b(left|right|middle|cent(?:re|er)|behind|front)\b", re.IGNORECASE)


def plain_prompt(prompt: str, characters: Sequence[Character]) -> str:
    """The prompt without `@`, with descriptions, with everybody in it and, if open, their places.

    A character whom the prompt does not mention is added at its end, so that everybody with photos
    is in the picture. Two or more people whose places the prompt leaves open are placed from left
    to right in the scene's order, as `conditioning.regions.bands` has them.
    """
    by_mention = {mention(c.name).casefold(): c for c in characters}
    introduced: list[str] = []

    def name_of(match: re.Match[str]) -> str:
        character = by_mention.get(match.group().casefold())
        return match.group() if character is None else _introduce(character, introduced)

    text = _MENTION.sub(name_of, prompt.strip())
    missing = [c for c in characters if c.name not in introduced]
    if missing:
        names = " and ".join(_introduce(c, introduced) for c in missing)
        text = f"{_ended(text)} With {names}."
    if len(characters) > 1 and leaves_places_open(prompt):
        names = ", ".join(c.name for c in characters)
        text = f"{_ended(text)} From left to right: {names}."
    return text


def with_names(prompt: str, names: Sequence[str]) -> str:
    """The prompt with names in place of mentions, and nothing added."""
    by_mention = {mention(name).casefold(): name for name in names}
    return _MENTION.sub(lambda m: by_mention.get(m.group().casefold(), m.group()), prompt.strip())


def leaves_places_open(prompt: str) -> bool:
    """Whether the prompt says nothing of who stands where."""
    return _PLACE.search(prompt) is None


def _introduce(character: Character, introduced: list[str]) -> str:
    if character.name in introduced or not character.description.strip():
        introduced.append(character.name)
        return character.name
    introduced.append(character.name)
    return f"{character.name} ({character.description.strip().rstrip('.')})"


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."

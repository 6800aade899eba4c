"""A user's folder of clips: what lies where, and what is refused before anything is trained.

    DIR/park.mp4            one shot with the faces in view
    DIR/park.txt            its caption: "@Ana waves at @Ben in a park."
    DIR/people/Ana/1.jpg    1 to 8 photos of everybody whom captions mention
    DIR/people/Ben/1.jpg

A caption that mentions nobody is about the only person of `people`, if there is just one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.config import MAX_CHARACTERS, MAX_PROMPT_LENGTH
from idvid.errors import InputError
from idvid.faces.detect import detect_faces, find_in_each
from idvid.faces.quality import ReferenceFace
from idvid.media.image import picture_files, read_image, shown_name
from idvid.scene_file import mention, mentions, validate_characters
from idvid.types import Character

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PEOPLE = "people"
_VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi"}
_EXAMPLE = "such as '@Ana waves at @Ben'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEntry:
    """One clip of the folder."""

    video: Path
    caption: str  # as it is written
    cast: tuple[str, ...]  # names, in the order in which the caption mentions them


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFolder:
    """All clips of a folder, and where the photos of their people lie."""

    entries: tuple[ClipEntry, ...]  # in the order of their names
    people: dict[str, Path]  # of everybody who is in a clip


def read_clip_folder(folder: Path) -> ClipFolder:
    """Look at names and captions; no picture is decoded.

    Raises:
        InputError: the folder is laid out in another way.
    """
    shown = shown_name(folder.name)
    if not folder.is_dir():
        raise InputError(f"{shown} is no folder; give --clips a folder of videos with captions.")
    files = sorted(folder.iterdir())
    videos = [p for p in files if p.suffix.lower() in _VIDEO_SUFFIXES and p.name[0] != "."]
    if not videos:
        raise InputError(f"{shown} holds no video; put MP4, MOV, MKV, WebM or AVI clips into it.")
    _refuse_bare(videos)
    people = _people(folder / PEOPLE)
    entries = tuple(_entry(video, tuple(people)) for video in videos)
    known = {name for entry in entries for name in entry.cast}
    return ClipFolder(
        entries=entries, people={name: where for name, where in people.items() if name in known}
    )


def read_photos(name: str, folder: Path) -> tuple[ReferenceFace, ...]:
    """The faces on a person's photos; who they look like is nobody's question here.

    Raises:
        InputError: a photo cannot be read, their number or the name is not allowed, or no photo
            shows a face.
    """
    photos = tuple(read_image(p, p.name) for p in picture_files(folder))
    validate_characters((Character(name=name, photos=photos),))
    found = find_in_each(detect_faces, photos)
    faces = tuple(
        # Training reads no vector of the judge.
        ReferenceFace(photo_index=index, image=photo, face=seen[0], embedding=np.zeros(0, "f4"))
        for index, (photo, seen) in enumerate(zip(photos, found, strict=True))
        if seen
    )
    if not faces:
        raise InputError(
            f"There is no face on any photo of {name} ({len(photos)} in all); use photos that show "
            "the whole face from the front in good light."
        )
    return faces


def _refuse_bare(videos: Sequence[Path]) -> None:
    bare = [video for video in videos if not video.with_suffix(".txt").is_file()]
    if bare:
        first = shown_name(bare[0].name)
        text = shown_name(bare[0].with_suffix(".txt").name)
        raise InputError(
            f"{len(bare)} of {len(videos)} clips have no caption, {first} first; write {text} "
            f"beside it, {_EXAMPLE}."
        )


def _people(folder: Path) -> dict[str, Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    people = {p.name: p for p in found if p.is_dir() and p.name[0] != "."}
    if not people:
        raise InputError(
            f"There is nobody in the sub-folder '{PEOPLE}'; make one folder per person in it, with "
            "1 to 8 photos each."
        )
    return people


def _entry(video: Path, people: tuple[str, ...]) -> ClipEntry:
    file = video.with_suffix(".txt")
    shown = shown_name(file.name)
    try:
        caption = " ".join(file.read_bytes()[: 8 * MAX_PROMPT_LENGTH].decode("utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{shown} cannot be read; save it as plain text in UTF-8.") from error
    if not 1 <= len(caption) <= MAX_PROMPT_LENGTH:
        raise InputError(
            f"The caption {shown} has {len(caption)} characters; write 1 to {MAX_PROMPT_LENGTH}."
        )
    return ClipEntry(video=video, caption=caption, cast=_cast(caption, shown, people))


def _cast(caption: str, shown: str, people: tuple[str, ...]) -> tuple[str, ...]:
    by_mention = {mention(name).casefold(): name for name in people}
    words = [f"@{word}" for word in mentions(caption)]
    strangers = [word for word in words if word.casefold() not in by_mention]
    some = ", ".join(mention(name) for name in people[:5])
    if strangers:
        raise InputError(
            f"The caption {shown} mentions {strangers[0][:40]}, but there are only {some}; correct "
            f"the name, or add a folder with photos to '{PEOPLE}'."
        )
    cast = tuple(dict.fromkeys(by_mention[word.casefold()] for word in words))
    if not cast and len(people) == 1:
        return people
    if not 1 <= len(cast) <= MAX_CHARACTERS:
        raise InputError(
            f"The caption {shown} mentions {len(cast)} people; mention 1 to {MAX_CHARACTERS}, "
            f"{_EXAMPLE}."
        )
    return cast

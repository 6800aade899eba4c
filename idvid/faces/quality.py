"""Are these photos good references? Every finding is a sentence with a number and a remedy.

Limits were set on rendered portraits (validation seeds) and on the same made worse on purpose; the
faces of the few real photos at hand pass them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse.csgraph import connected_components

from idvid.errors import ReferencePhotoError
from idvid.faces.detect import detect_faces, find_in_each
from idvid.faces.embed import load_judge
from idvid.faces.portrait import PortraitQuality, measure_portrait, photo_similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.faces.embed import FaceEncoder
    from idvid.faces.types import Face
    from idvid.types import Character

Severity = Literal["note", "warning", "refused"]

GOOD_FACE_PX = 64
USABLE_FACE_PX = 32
MIN_SHARPNESS = 0.045  # good portraits 0.06..2, blurred by 1/50 of the face's width below 0.05
MIN_HIGHLIGHT = 75.0  # good portraits 127..242, the same at a quarter of the light below 61
MAX_CLIPPED = 0.25  # good portraits 0, twice the light 0.7
MAX_YAW_DEGREES = 35.0
MIN_PHOTO_SIMILARITY = 0.965  # whole photos; above it they are copies...
MIN_COPY_COSINE = 0.75  # ...if the faces agree too
SAME_PERSON_COSINE = 0.30  # 99.8% of the pairs of one synthetic person reach it
LOOK_ALIKE_COSINE = 0.45  # mean over two characters' photos


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to know about a character's photos."""

    character: str
    photo_index: int | None  # 0-based; None when it is about the character as a whole
    code: str  # no_face, several_faces, small_face, blurred, dark, bright, turned, duplicate, ...
    severity: Severity  # refused: that photo (or the whole character) is not used
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceFace:
    """A usable photo with the face in it."""

    photo_index: int  # 0-based, among the character's photos
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    face: Face
    embedding: NDArray[np.float32]  # (E,) unit norm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceCheck:
    """What the check found, and the photos that can be used."""

    findings: tuple[Finding, ...]
    references: tuple[tuple[ReferenceFace, ...], ...]  # per character, in order; () if refused

    def galleries(self) -> tuple[NDArray[np.float32], ...]:
        """Per character, the vectors of its usable photos (R, E); raises if one was refused."""
        self.raise_if_refused()
        return tuple(np.stack([r.embedding for r in faces]) for faces in self.references)

    def raise_if_refused(self) -> None:
        """Raise ReferencePhotoError if a character has no usable photo."""
        for finding in self.findings:
            if finding.severity == "refused" and finding.photo_index is None:
                raise ReferencePhotoError(finding.message)


def check_references(
    characters: tuple[Character, ...], encoder: FaceEncoder | None = None
) -> ReferenceCheck:
    """Look at every photo of every character; never raises for a bad photo.

    Args:
        characters: the people, with their photos.
        encoder: who compares faces; the judge unless given.
    """
    encoder = encoder or load_judge()
    findings: list[Finding] = []
    references: list[tuple[ReferenceFace, ...]] = []
    photos = [photo for character in characters for photo in character.photos]
    seen = iter(find_in_each(detect_faces, photos))
    for character in characters:
        own = list(islice(seen, len(character.photos)))
        found, usable = _check_character(character, own, encoder)
        findings += found
        references.append(usable)
    findings += _look_alikes(characters, references)
    return ReferenceCheck(findings=tuple(findings), references=tuple(references))


def _check_character(
    character: Character, seen: Sequence[tuple[Face, ...]], encoder: FaceEncoder
) -> tuple[list[Finding], tuple[ReferenceFace, ...]]:
    """Findings on a character and the usable references; `seen` are each photo's faces."""
    findings: list[Finding] = []
    faces: list[tuple[int, Face]] = []
    for index, (photo, faces_seen) in enumerate(zip(character.photos, seen, strict=True)):
        found, face = _check_photo(character.name, index, photo, faces_seen)
        findings += found
        if face is not None:
            faces.append((index, face))
    vectors = encoder.embed([character.photos[i] for i, _ in faces], [face for _, face in faces])
    usable = [
        ReferenceFace(photo_index=i, image=character.photos[i], face=face, embedding=vector)
        for (i, face), vector in zip(faces, vectors, strict=True)
    ]
    copies = _duplicates(character.name, usable)
    findings += copies
    copied = {finding.photo_index for finding in copies}
    usable = [reference for reference in usable if reference.photo_index not in copied]
    findings += _strangers(character.name, usable)
    if not usable:
        findings.append(_nothing_usable(character))
    return findings, tuple(usable)


def _check_photo(
    name: str, index: int, photo: NDArray[np.uint8], faces: Sequence[Face]
) -> tuple[list[Finding], Face | None]:
    """Findings on one photo, and its largest face unless that is unusable."""
    where = f"photo {index + 1} of '{name}'"
    if not faces:
        height, width = photo.shape[:2]
        message = (
            f"No face was found in {where} ({width} x {height} px); "
            "use a photo that shows the whole face from the front in good light."
        )
        return [_finding(name, index, "no_face", "refused", message)], None
    quality = measure_portrait(photo, faces[0])
    findings = _several_faces(name, index, faces)
    findings += [
        _finding(name, index, code, severity, f"The face in {where} {text}")
        for code, severity, text in _complaints(quality)
    ]
    refused = any(finding.severity == "refused" for finding in findings)
    return findings, None if refused else faces[0]


def _several_faces(name: str, index: int, faces: Sequence[Face]) -> list[Finding]:
    if len(faces) == 1:
        return []
    message = (
        f"Photo {index + 1} of '{name}' shows {len(faces)} faces; the largest, "
        f"{faces[0].width_px:.0f} px wide, is used. Crop the photo to one person to be sure."
    )
    return [_finding(name, index, "several_faces", "warning", message)]


def _complaints(quality: PortraitQuality) -> list[tuple[str, Severity, str]]:
    """(code, severity, rest of the sentence) for everything that is wrong with a face."""
    found: list[tuple[str, Severity, str]] = []
    if quality.width_px < GOOD_FACE_PX:
        severity: Severity = "warning" if quality.width_px >= USABLE_FACE_PX else "refused"
        text = f"is {quality.width_px:.0f} px wide, we want {GOOD_FACE_PX} px; use a closer or larger photo."
        found.append(("small_face", severity, text))
    if quality.sharpness < MIN_SHARPNESS:
        share = 100 * quality.sharpness / MIN_SHARPNESS
        text = f"is blurred (sharpness {share:.0f}% of what we need); use a sharper photo."
        found.append(("blurred", "warning", text))
    if quality.highlight < MIN_HIGHLIGHT:
        share = 100 * quality.highlight / 255
        text = (
            f"is too dark (its brightest parts reach {share:.0f}% of white); use a brighter photo."
        )
        found.append(("dark", "warning", text))
    if quality.clipped > MAX_CLIPPED:
        text = f"is over-exposed ({100 * quality.clipped:.0f}% of it is washed out); use a darker photo."
        found.append(("bright", "warning", text))
    if abs(quality.yaw_degrees) > MAX_YAW_DEGREES:
        text = (
            f"is turned by about {abs(quality.yaw_degrees):.0f} degrees; "
            f"up to {MAX_YAW_DEGREES:.0f} works well, so add a photo from the front."
        )
        found.append(("turned", "warning", text))
    return found


def _duplicates(name: str, references: Sequence[ReferenceFace]) -> list[Finding]:
    findings: dict[int, Finding] = {}
    for first, second in combinations(references, 2):
        cosine = float(first.embedding @ second.embedding)
        if second.photo_index in findings or cosine < MIN_COPY_COSINE:
            continue
        likeness = photo_similarity(first.image, second.image)
        if likeness >= MIN_PHOTO_SIMILARITY:
            message = (
                f"Photo {second.photo_index + 1} of '{name}' is a copy of photo "
                f"{first.photo_index + 1} ({100 * likeness:.0f}% alike) and is left out; "
                "add a different photo instead."
            )
            findings[second.photo_index] = _finding(
                name, second.photo_index, "duplicate", "note", message
            )
    return list(findings.values())


def _strangers(name: str, references: Sequence[ReferenceFace]) -> list[Finding]:
    """Photos that do not belong with the largest group of photos that look like one person."""
    if len(references) < 2:
        return []
    vectors = np.stack([reference.embedding for reference in references])
    cosines = vectors @ vectors.T
    _, labels = connected_components(cosines >= SAME_PERSON_COSINE, directed=False)
    inside = labels == np.bincount(labels).argmax()
    if inside.all():
        return []
    odd = [r.photo_index + 1 for r, is_in in zip(references, inside, strict=True) if not is_in]
    nearest = float(cosines[~inside][:, inside].max())
    numbers = ", ".join(str(number) for number in odd)
    message = (
        f"The photos of '{name}' do not look like one person: the nearest that photo {numbers} "
        f"comes to the others is {nearest:.2f}, we expect {SAME_PERSON_COSINE:.2f} or more; "
        "remove what shows somebody else."
    )
    return [_finding(name, None, "not_one_person", "warning", message)]


def _look_alikes(
    characters: Sequence[Character], references: Sequence[Sequence[ReferenceFace]]
) -> list[Finding]:
    findings: list[Finding] = []
    for first, second in combinations(range(len(characters)), 2):
        if not references[first] or not references[second]:
            continue
        galleries = [np.stack([r.embedding for r in references[i]]) for i in (first, second)]
        cosine = float((galleries[0] @ galleries[1].T).mean())
        if cosine > LOOK_ALIKE_COSINE:
            name, other = characters[first].name, characters[second].name
            message = (
                f"'{name}' and '{other}' look alike (similarity {cosine:.2f}, strangers stay "
                f"below {LOOK_ALIKE_COSINE:.2f}), so they may be taken for each other; check that "
                "the photos are not mixed up, or use photos that show the difference."
            )
            findings.append(_finding(name, None, "look_alike", "warning", message))
    return findings


def _nothing_usable(character: Character) -> Finding:
    count = len(character.photos)
    photos = "its only photo" if count == 1 else f"any of the {count} photos"
    message = (
        f"No usable face for '{character.name}' in {photos}; add a sharp photo that shows the "
        f"face from the front, at least {GOOD_FACE_PX} px wide."
    )
    return _finding(character.name, None, "no_usable_photo", "refused", message)


def _finding(name: str, index: int | None, code: str, severity: Severity, message: str) -> Finding:
    return Finding(character=name, photo_index=index, code=code, severity=severity, message=message)

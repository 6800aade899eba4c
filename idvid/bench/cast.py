"""The unseen test people of the benchmarks: their photos for the generator, and others for the judge.

A generator is never scored against the photos that it was given: a copy of one of them, light and
expression and all, would look like a perfect likeness. The judge compares with held-out photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from idvid.bench.settings import MAX_CAST, TEST, Seeds
from idvid.errors import InputError
from idvid.faces.detect import detect_faces
from idvid.faces.embed import load_judge
from idvid.faces.quality import ReferenceFace
from idvid.people import build_person, render_portrait, sample_person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from idvid.people import Person

HELD_OUT = 4  # photos per person that only the judge reads
_CANDIDATES, _PHOTO_PX = 60, 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CastMember:
    """One test person, ready to be drawn, with photos."""

    index: int  # among the cast
    person: Person
    held_out: tuple[ReferenceFace, ...]  # HELD_OUT photos for the judge
    photos: tuple[ReferenceFace, ...]  # other photos, which a generator may read

    @property
    def gallery(self) -> NDArray[np.float32]:
        """What the judge compares with: vectors (HELD_OUT, E)."""
        return np.stack([photo.embedding for photo in self.held_out])


def make_cast(count: int, num_photos: int, seeds: Seeds = TEST) -> tuple[CastMember, ...]:
    """The first `count` people, each with `num_photos` photos to generate from.

    Raises:
        InputError: more people than the benchmarks have seeds for.
    """
    if count > MAX_CAST:
        raise InputError(f"{count} people were asked for and there are {MAX_CAST}; choose fewer.")
    return tuple(_member(index, num_photos, seeds) for index in range(count))


def usable_photos(
    person: Person, index: int, count: int, seeds: Seeds = TEST
) -> tuple[ReferenceFace, ...]:
    """The first portraits of person `index` in which a face is found.

    A user does the same: the reference check names the photos without a face.
    """
    found = tuple(islice(_photos_with_a_face(person, index, seeds), count))
    assert len(found) == count, f"person {index} has too few photos with a face"
    return found


def _member(index: int, num_photos: int, seeds: Seeds) -> CastMember:
    person = build_person(sample_person(seeds.people + index))
    photos = usable_photos(person, index, HELD_OUT + num_photos, seeds)
    return CastMember(
        index=index, person=person, held_out=photos[:HELD_OUT], photos=photos[HELD_OUT:]
    )


def _photos_with_a_face(person: Person, index: int, seeds: Seeds) -> Iterator[ReferenceFace]:
    judge = load_judge()
    first = seeds.photos + index * _CANDIDATES
    for number, seed in enumerate(range(first, first + _CANDIDATES)):
        image = render_portrait(person, seed, _PHOTO_PX).image
        for face in detect_faces(image)[:1]:
            vector = judge.embed([image], [face])[0]
            yield ReferenceFace(photo_index=number, image=image, face=face, embedding=vector)

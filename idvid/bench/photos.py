"""Which photos a generator is given: how many, from how many angles, and how good.

A choice maps a person's eight photos to those that are given. Spoilt photos keep the landmarks of
the good ones, so that a benchmark of them asks what the model makes of poor pixels and nothing
else; in the product the check of references warns of such photos.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageFilter

from idvid.metrics.expression import turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from idvid.faces.quality import ReferenceFace

    Photos = Sequence[ReferenceFace]
    Choice = Callable[[Photos], tuple[ReferenceFace, ...]]

PhotoChoice = Literal[
    "one",
    "two",
    "three",
    "five",
    "eight",
    "dark",
    "blurred",
    "small",
    "one_angle",
    "several_angles",
]
MOST_PHOTOS = 8
USUAL = 3  # photos that are given unless a benchmark is about their number
DARK = 0.12  # share of the light that is left
BLUR = 1 / 40  # of the face's width: deviation of the Gaussian
SMALL_PX = 24  # face width


def first(count: int, photos: Photos) -> tuple[ReferenceFace, ...]:
    """The first `count` photos."""
    return tuple(photos[:count])


def darkened(photo: ReferenceFace) -> ReferenceFace:
    """With little light: linear light is scaled, and what is left is stored in 8 bits."""
    gamma = DARK ** (1 / 2.2)
    return replace(photo, image=(photo.image * gamma).round().astype(np.uint8))


def blurred(photo: ReferenceFace) -> ReferenceFace:
    """Out of focus."""
    picture = Image.fromarray(photo.image)
    radius = photo.face.width_px * BLUR
    return replace(photo, image=np.asarray(picture.filter(ImageFilter.GaussianBlur(radius))))


def shrunk(photo: ReferenceFace) -> ReferenceFace:
    """From far away: the face is SMALL_PX wide."""
    height, width = photo.image.shape[:2]
    scale = SMALL_PX / photo.face.width_px
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    ratio = np.array([size[0] / width, size[1] / height], np.float32)
    face = replace(
        photo.face,
        box=((photo.face.box.reshape(2, 2) + 0.5) * ratio - 0.5).reshape(4),
        landmarks=(photo.face.landmarks + 0.5) * ratio - 0.5,
    )
    return replace(photo, image=_resized(photo.image, size), face=face)


def one_angle(photos: Photos) -> tuple[ReferenceFace, ...]:
    """The USUAL photos whose heads are turned most alike."""
    order, aside = _by_turn(photos)
    spans = aside[order[USUAL - 1 :]] - aside[order[: 1 - USUAL]]
    start = int(spans.argmin())
    return tuple(photos[i] for i in order[start : start + USUAL])


def several_angles(photos: Photos) -> tuple[ReferenceFace, ...]:
    """USUAL photos from the head turned most to one side to most to the other."""
    order, _ = _by_turn(photos)
    picked = np.linspace(0, len(photos) - 1, USUAL).round().astype(int)
    return tuple(photos[i] for i in order[picked])


def _spoilt(spoil: Callable[[ReferenceFace], ReferenceFace], photos: Photos) -> tuple:
    return tuple(spoil(photo) for photo in photos[:USUAL])


def _by_turn(photos: Photos) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Order of the photos by how far the head is turned aside, and those turns."""
    aside = turns([photo.face for photo in photos])[:, 0]
    return aside.argsort(), aside


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


CHOICES: Mapping[PhotoChoice, Choice] = {
    "one": partial(first, 1),
    "two": partial(first, 2),
    "three": partial(first, USUAL),
    "five": partial(first, 5),
    "eight": partial(first, MOST_PHOTOS),
    "dark": partial(_spoilt, darkened),
    "blurred": partial(_spoilt, blurred),
    "small": partial(_spoilt, shrunk),
    "one_angle": one_angle,
    "several_angles": several_angles,
}

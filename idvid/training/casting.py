"""Who plays in a clip, in which clothes, and what is said of it: all that is known before rendering.

Everything follows from the split and the clip's number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.conditioning.text import MAX_TOKENS
from idvid.people import sample_person, sample_scene
from idvid.people.captions import Telling, caption
from idvid.people.sampling import sample_other_clothes
from idvid.training.seeding import detail_seed, person_seeds, scene_seed

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from idvid.people import PersonSpec, SceneSpec
    from idvid.people.seeds import Split
    from idvid.people.spec import ClothesSpec

HANDLES = ("<c1>", "<c2>", "<c3>", "<c4>")  # what captions call character c
PEOPLE_SHARES = (0.3, 0.55, 0.1, 0.05)  # clips with 1, 2, 3 and 4 people
CHANGED_SHARE = 0.35  # people who wear other clothes in the clip than in their photos
MOTLEY_SHARE = 0.5  # of these: people in other clothes on every photo
VARIED_SHARE = 0.5  # photos that are further from a good portrait
NUM_CAPTIONS = 3
EVEN_SKIN_SHARE = 0.4  # training people whose melanin is drawn evenly: few seeds have dark skin
_FRECKLED_BELOW = 0.45  # melanin
# Random streams of a clip.
_PURPOSE_PEOPLE, _PURPOSE_CLOTHES, _PURPOSE_PHOTOS, _PURPOSE_SKIN = 771, 772, 773, 774


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """A clip before rendering: character c stands at place `places[c]`, counted from the left."""

    split: Split
    number: int  # of the clip
    specs: tuple[PersonSpec, ...]  # by place, dressed as in their photos
    worn: tuple[ClothesSpec | None, ...]  # by place: other clothes in the clip
    places: NDArray[np.int64]  # (C,) a permutation, so that a name says nothing of a place

    @property
    def names_by_place(self) -> list[str]:
        """What captions call the people, from left to right."""
        return [HANDLES[character] for character in np.argsort(self.places)]

    @property
    def seen(self) -> tuple[PersonSpec, ...]:
        """The people as the clip shows them, by place."""
        return tuple(
            spec if worn is None else replace(spec, clothes=worn)
            for spec, worn in zip(self.specs, self.worn, strict=True)
        )

    def scene(self, num_frames: int, fps: float) -> SceneSpec:
        """What happens."""
        seed = scene_seed(self.split, self.number)
        return sample_scene(seed, len(self.specs), num_frames, fps, eventful=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPlan:
    """One photo of a person."""

    seed: int
    varied: bool
    clothes: ClothesSpec | None  # other ones than the spec's


def plan_clip(split: Split, number: int, count: int | None = None) -> ClipPlan:
    """The plan of a split's clip, of `count` people or of as many as come up.

    Raises:
        SeedError: the split has no such clip.
    """
    rng = _stream(split, number, _PURPOSE_PEOPLE)
    count = count or int(rng.choice(len(PEOPLE_SHARES), p=PEOPLE_SHARES)) + 1
    specs = tuple(sample_person(seed) for seed in person_seeds(split, number, count))
    if split == "train":
        painter = _stream(split, number, _PURPOSE_SKIN)
        specs = tuple(_evened(painter, spec) for spec in specs)
    places = rng.permutation(count)
    tailor = _stream(split, number, _PURPOSE_CLOTHES)
    worn = tuple(
        sample_other_clothes(tailor, spec.clothes) if tailor.random() < CHANGED_SHARE else None
        for spec in specs
    )
    return ClipPlan(split=split, number=number, specs=specs, worn=worn, places=places)


def _evened(rng: Generator, spec: PersonSpec) -> PersonSpec:
    """The person, or somebody who differs by a skin colour that is drawn evenly."""
    if rng.random() >= EVEN_SKIN_SHARE:
        return spec
    melanin = float(rng.random())
    freckles = spec.skin.freckles if melanin < _FRECKLED_BELOW else 0.0
    return replace(spec, skin=replace(spec.skin, melanin=melanin, freckles=freckles))


def plan_photos(plan: ClipPlan, place: int, count: int) -> list[PhotoPlan]:
    """The photos of the person at a place; the first ones are the same for any count."""
    rng = _stream(plan.split, plan.number, _PURPOSE_PHOTOS, place)
    worn = plan.worn[place]
    is_motley = worn is not None and rng.random() < MOTLEY_SHARE
    photos = []
    for _ in range(count):
        seed = detail_seed(plan.split, int(rng.integers(1 << 30)))
        varied = bool(rng.random() < VARIED_SHARE)
        clothes = sample_other_clothes(rng, worn) if worn is not None and is_motley else None
        photos.append(PhotoPlan(seed=seed, varied=varied, clothes=clothes))
    return photos


def captions_of(plan: ClipPlan, scene: SceneSpec) -> list[str]:
    """Several phrasings; they name the clothes of everybody who has changed."""
    dressed = frozenset(place for place, worn in enumerate(plan.worn) if worn is not None)
    telling, first = Telling(dressed=dressed, max_words=MAX_TOKENS), plan.number * NUM_CAPTIONS
    return [
        caption(scene, plan.seen, plan.names_by_place, detail_seed(plan.split, first + k), telling)
        for k in range(NUM_CAPTIONS)
    ]


def _stream(split: Split, number: int, *purpose: int) -> Generator:
    return np.random.default_rng([scene_seed(split, number), *purpose])

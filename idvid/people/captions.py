"""Plain English for people and scenes, in several phrasings. Owns every word that can be said.

Left and right are the picture's. Names appear as handles such as `@ana`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from idvid.errors import InputError
from idvid.people import phrases as ph
from idvid.people.clothes_shape import ROLL_NECK, V_NECK, WIDE_NECK
from idvid.people.event_captions import event_sentences, pick, walking
from idvid.people.seeds import stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.random import Generator

    from idvid.people.motion import ActorSpec
    from idvid.people.scene import SceneSpec
    from idvid.people.spec import PersonSpec

WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
TOKEN = re.compile(r"<c\d>|[\w-]+")
HANDLE = re.compile(r"@[\w-]+")
MIDDLE_AGED, OLD = 0.42, 0.68
SKIN_STEPS = (0.14, 0.32, 0.52, 0.76)  # melanin up to which the first, second... word fits


def describe_person(spec: PersonSpec) -> str:
    """Everything that can be said about a person, in one fixed phrasing."""
    noun = ph.NOUNS[spec.is_man][0]
    parts = [_hair(spec, None)]
    if spec.beard != "none":
        parts.append(ph.BEARDS[spec.beard][0])
    if spec.glasses is not None:
        parts.append(f"{ph.FRAMES[spec.glasses.frame][0]} glasses")
    first = f"{_article(_age_words(spec) + noun)} with {_listed(parts)}"
    return f"{first}, in {_clothes(spec, None)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a caption must say."""

    dressed: frozenset[int] = frozenset()  # people, from the left, whose clothes are always named
    max_words: int | None = None  # looks are left out, person by person, until it is as short


_FREELY = Telling()
_LOOKS_SHARES = (0.8, 0.4, 0.15, 0.0)  # of people whose looks are told; the next one if too long


def caption(
    scene: SceneSpec,
    specs: Sequence[PersonSpec],
    names: Sequence[str],
    seed: int,
    telling: Telling = _FREELY,
) -> str:
    """One description of a clip; the seed chooses the phrasing and what is left out.

    Args:
        scene: the scene graph.
        specs: the people from left to right, one per actor.
        names: their names, with or without `@`.
        seed: 0..999,999.
        telling: what must be said, and in how many words; what happens is always told.

    Raises:
        InputError: not as many people or names as the scene has actors.
        SeedError: a seed outside its range.
    """
    if not len(specs) == len(names) == len(scene.actors):
        raise InputError(
            f"The scene has {len(scene.actors)} people but {len(specs)} descriptions and "
            f"{len(names)} names were given; give one of each per person."
        )
    rng = stream(seed, 300)
    handles = ["@" + name.lstrip("@").lower().replace(" ", "_") for name in names]
    text = ""
    for share in _LOOKS_SHARES:
        text = _tell(rng, scene, specs, handles, (telling.dressed, share))
        if telling.max_words is None or len(TOKEN.findall(text)) <= telling.max_words:
            break
    return text


def _tell(
    rng: Generator,
    scene: SceneSpec,
    specs: Sequence[PersonSpec],
    handles: Sequence[str],
    looks: tuple[frozenset[int], float],
) -> str:
    """All sentences; `looks` is whose clothes are named, and the share of people described."""
    sentences = [
        _person_sentence(rng, actor, spec, (handles, index), (index in looks[0], looks[1]))
        for index, (actor, spec) in enumerate(zip(scene.actors, specs, strict=True))
    ]
    if len(handles) > 1 and rng.random() < 0.4:
        sentences.insert(0, _together(rng, handles))
    sentences += event_sentences(rng, scene, handles)
    if rng.random() < 0.85:
        sentences.append(_place_sentence(rng, scene))
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)


def plain_caption(scene: SceneSpec, names: Sequence[str]) -> str:
    """Where everybody is, what they do, the place and the light, in one fixed phrasing.

    Nothing is said of anybody's looks. Names are given with or without `@`, from left to right.
    """
    sentences = [
        f"@{name.lstrip('@')} {_plainly(actor)} {ph.PLACES[actor.place][0]}"
        for actor, name in zip(scene.actors, names, strict=True)
    ]
    background = ph.BACKGROUNDS[scene.background.kind][0].format(colour=scene.background.colour)
    light = ph.LIGHTS[scene.light.kind][0].format(side=scene.light.side)
    sentences.append(f"behind them is {background}, in {light}")
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Every word (lower case, hyphens kept) that captions and descriptions use."""
    return frozenset(words_of(" ".join(_all_strings(vars(ph)))) | {"a", "an"})


def words_of(text: str) -> set[str]:
    """Words of a text, lower case, without handles."""
    return set(WORD.findall(HANDLE.sub(" ", text.lower())))


def _all_strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield re.sub(r"\{\w+\}", " ", value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not str(key).startswith("__"):
                yield from _all_strings(inner)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _all_strings(inner)


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _age_words(spec: PersonSpec) -> str:
    if spec.age > OLD:
        return ph.AGES["old"][0] + " "
    return ph.AGES["middle"][0] + " " if spec.age > MIDDLE_AGED else ""


def _noun(rng: Generator, spec: PersonSpec) -> str:
    key = "old" if spec.age > OLD else "middle" if spec.age > MIDDLE_AGED else "young"
    age = pick(rng, ph.AGES[key]) + " " if rng.random() < 0.5 else ""
    return _article(age + pick(rng, ph.NOUNS[spec.is_man]))


def _skin(rng: Generator, spec: PersonSpec) -> str:
    step = sum(spec.skin.melanin > edge for edge in SKIN_STEPS)
    return pick(rng, ph.SKIN[step])


def _hair(spec: PersonSpec, rng: Generator | None) -> str:
    style = pick(rng, ph.HAIR[spec.hair.style])
    return style.format(colour=pick(rng, ph.HAIR_COLOURS[spec.hair.colour]))


def _clothes(spec: PersonSpec, rng: Generator | None) -> str:
    clothes = spec.clothes
    garment = pick(rng, ph.GARMENTS[clothes.neckline in (V_NECK, WIDE_NECK)])
    if clothes.neckline == ROLL_NECK:
        garment = pick(rng, ph.ROLL_NECKS)
    elif clothes.neckline == V_NECK and (rng is None or rng.random() < 0.6):
        garment = f"{ph.V_NECK} {garment}"
    colour = clothes.colour
    if clothes.pattern == "plain":
        return _article(f"{colour} {garment}")
    pattern = pick(rng, ph.PATTERNS[clothes.pattern])
    if rng is not None and rng.random() < 0.4:
        colour = f"{clothes.colour} and {clothes.second_colour}"
    return _article(f"{colour} {pattern} {garment}")


def _looks(rng: Generator, spec: PersonSpec, is_dressed: bool) -> str:
    """Some of: who, hair, beard, glasses, skin, clothes."""
    features = []
    if rng.random() < 0.9:
        features.append(_hair(spec, rng))
    if spec.beard != "none" and rng.random() < 0.9:
        features.append(pick(rng, ph.BEARDS[spec.beard]))
    if spec.glasses is not None and rng.random() < 0.9:
        frame = pick(rng, (*ph.FRAMES[spec.glasses.frame], spec.glasses.colour))
        features.append(f"{frame} {pick(rng, ph.GLASSES)}")
    if rng.random() < 0.25 or not features:
        features.append(_skin(rng, spec))
    text = f"{_noun(rng, spec)} with {_listed(features)}"
    if rng.random() < 0.75 or is_dressed:
        text += f" {pick(rng, ph.WEARING)} {_clothes(spec, rng)}"
    return text


def _person_sentence(
    rng: Generator,
    actor: ActorSpec,
    spec: PersonSpec,
    who: tuple[Sequence[str], int],
    looks_wanted: tuple[bool, float],
) -> str:
    (handles, index), (is_dressed, share) = who, looks_wanted
    doing = _doing(rng, actor)
    if actor.walk is not None:
        doing = walking(rng, actor.walk, handles) + ("" if rng.random() < 0.4 else f" and {doing}")
    is_placed = len(handles) > 1 or rng.random() < 0.3
    place = pick(rng, ph.PLACES[actor.place]) if is_placed else ""
    looks = _looks(rng, spec, is_dressed) if rng.random() < share else ""
    if is_dressed and not looks:
        looks = f"{pick(rng, ph.WEARING)} {_clothes(spec, rng)}"
    kind = ("full" if place else "placeless") if looks else "short"
    pattern = pick(rng, ph.SENTENCES[kind])
    text = pattern.format(name=handles[index], looks=looks, place=place, doing=doing)
    return re.sub(r" +", " ", text).replace(" ,", ",").strip(" ,")


def _doing(rng: Generator, actor: ActorSpec) -> str:
    """Action and expression as one phrase of verbs."""
    parts = []
    if actor.action != "still" or rng.random() < 0.6:
        parts.append(pick(rng, ph.ACTIONS[actor.action]))
    first, last = actor.expression_start, actor.expression_end
    if actor.action != "laughing" and (rng.random() < 0.85 or not parts):
        phrase = pick(rng, ph.EXPRESSIONS[first])
        if first != last and rng.random() < 0.8:
            phrase += f" {pick(rng, ph.THEN)} {pick(rng, ph.EXPRESSIONS[last])}"
        parts.append(phrase)
    if len(parts) == 2 and rng.random() < 0.35:
        parts.reverse()
    return " and ".join(parts)


def _plainly(actor: ActorSpec) -> str:
    """Action and expression, each in its first phrase."""
    first, last = actor.expression_start, actor.expression_end
    phrases = [ph.ACTIONS[actor.action][0]]
    if actor.action != "laughing":
        phrases.append(ph.EXPRESSIONS[first][0])
        if first != last:
            phrases[-1] += f" {ph.THEN[0]} {ph.EXPRESSIONS[last][0]}"
    return " and ".join(phrases)


def _together(rng: Generator, handles: Sequence[str]) -> str:
    number = ph.NUMBERS[len(handles)]
    return pick(rng, ph.TOGETHER).format(names=_listed(handles), number=number)


def _place_sentence(rng: Generator, scene: SceneSpec) -> str:
    background = pick(rng, ph.BACKGROUNDS[scene.background.kind])
    background = background.format(colour=scene.background.colour)
    light = pick(rng, ph.LIGHTS[scene.light.kind]).format(side=scene.light.side)
    both = rng.random()
    if both < 0.2:
        return pick(rng, ph.ONLY_LIGHT).format(light=light)
    if both < 0.4:
        return pick(rng, ph.ONLY_PLACE).format(background=background)
    return pick(rng, ph.PLACE_AND_LIGHT).format(background=background, light=light)

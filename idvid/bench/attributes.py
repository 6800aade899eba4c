"""What a prompt asks for, as classes that can be read back from frames.

Words that pictures of this size cannot tell apart are one class (navy and black, ponytail and bun).
A class is a plain word; an attribute that does not apply to somebody is None and is never counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from idvid.people.background import PAINTERS
from idvid.people.light import LIGHT_KINDS
from idvid.people.motion import EXPRESSIONS

if TYPE_CHECKING:
    from idvid.people import PersonSpec, SceneSpec

    Asked = dict[str, str | None]

HEAD = {
    "nodding": "nodding",
    "shaking": "shaking",
    "looking_left": "to the left",
    "turning_left": "to the left",
    "looking_right": "to the right",
    "turning_right": "to the right",
    "looking_up": "up",
    "looking_down": "down",
    "tilting": "tilting",
}
NO_HEAD = "straight"  # all other actions
SPEAKING = ("talking", "laughing")
HAIR_COLOUR = {
    "black": "dark",
    "dark brown": "dark",
    "brown": "brown",
    "chestnut": "brown",
    "light brown": "blond",
    "blond": "blond",
    "platinum blond": "blond",
    "ginger": "red",
    "red": "red",
    "grey": "grey",
    "white": "grey",
    "blue": "blue",
    "pink": "pink",
    "green": "green",
    "purple": "purple",
}
HAIR_STYLE = {
    "bald": "bald",
    "buzz": "short",
    "side_parted": "short",
    "combed_back": "short",
    "messy": "short",
    "slick": "short",
    "mohawk": "short",
    "curly_short": "curly",
    "afro": "curly",
    "bob": "long",
    "long_straight": "long",
    "long_side": "long",
    "long_fringe": "long",
    "curly_long": "long",
    "ponytail": "tied",
    "bun": "tied",
}
CLOTHES = {
    "black": "black",
    "navy": "black",
    "white": "white",
    "beige": "white",
    "grey": "grey",
    "red": "red",
    "orange": "yellow",
    "yellow": "yellow",
    "green": "green",
    "teal": "green",
    "blue": "blue",
    "purple": "purple",
    "pink": "pink",
    "brown": "brown",
}
PERSON_CLASSES: dict[str, tuple[str, ...]] = {
    "expression": tuple(EXPRESSIONS),
    "head": tuple(dict.fromkeys((NO_HEAD, *HEAD.values()))),
    "speech": ("silent", "speaking"),
    "hair colour": tuple(dict.fromkeys(HAIR_COLOUR.values())),
    "hair style": tuple(dict.fromkeys(HAIR_STYLE.values())),
    "clothes colour": tuple(dict.fromkeys(CLOTHES.values())),
}
SCENE_CLASSES: dict[str, tuple[str, ...]] = {
    "light": tuple(LIGHT_KINDS),
    "background": tuple(PAINTERS),
}
POSITION = "position"  # read from where faces are and whose they are, without a probe
LOOKS = ("hair colour", "hair style", "clothes colour")  # asked only where people are described
ATTRIBUTES = (POSITION, *PERSON_CLASSES, *SCENE_CLASSES)


def asked_of_person(spec: PersonSpec, scene: SceneSpec, position: int) -> Asked:
    """What a described scene asks of the person at a position, counted from the left."""
    actor = scene.actors[position]
    is_laughing = actor.action == "laughing"
    return {
        "expression": None if is_laughing else actor.expression_start,
        "head": HEAD.get(actor.action, NO_HEAD),
        "speech": "speaking" if actor.action in SPEAKING else "silent",
        "hair colour": None if spec.hair.style == "bald" else HAIR_COLOUR[spec.hair.colour],
        "hair style": HAIR_STYLE[spec.hair.style],
        "clothes colour": CLOTHES[spec.clothes.colour],
    }


def asked_of_scene(scene: SceneSpec) -> Asked:
    """What a scene's prompt asks of the whole picture."""
    return {"light": scene.light.kind, "background": scene.background.kind}

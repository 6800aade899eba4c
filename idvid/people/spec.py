"""Who a person is, in plain values: the input of `build_person` and of the captions.

Knows no geometry. Colours are linear RGB tuples; lengths decimetres; angles radians.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]

SKIN_TONES: tuple[Colour, ...] = (
    (0.62, 0.40, 0.315),
    (0.53, 0.32, 0.235),
    (0.43, 0.245, 0.16),
    (0.31, 0.165, 0.10),
    (0.19, 0.098, 0.06),
    (0.095, 0.048, 0.032),
)  # from the palest (melanin 0) to the darkest (melanin 1)

HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.012, 0.010, 0.010),
    "dark brown": (0.030, 0.018, 0.012),
    "brown": (0.075, 0.040, 0.021),
    "chestnut": (0.11, 0.048, 0.022),
    "light brown": (0.19, 0.115, 0.06),
    "blond": (0.38, 0.255, 0.125),
    "platinum blond": (0.55, 0.46, 0.33),
    "ginger": (0.30, 0.098, 0.028),
    "red": (0.22, 0.035, 0.018),
    "grey": (0.24, 0.24, 0.245),
    "white": (0.56, 0.55, 0.54),
    "blue": (0.03, 0.07, 0.28),
    "pink": (0.50, 0.12, 0.22),
    "green": (0.04, 0.20, 0.09),
    "purple": (0.14, 0.035, 0.22),
}

CLOTH_COLOURS: dict[str, Colour] = {
    "black": (0.02, 0.02, 0.022),
    "white": (0.66, 0.66, 0.64),
    "grey": (0.22, 0.22, 0.23),
    "red": (0.46, 0.035, 0.03),
    "orange": (0.60, 0.20, 0.03),
    "yellow": (0.62, 0.45, 0.06),
    "green": (0.05, 0.26, 0.08),
    "teal": (0.03, 0.24, 0.24),
    "blue": (0.06, 0.16, 0.50),
    "navy": (0.02, 0.035, 0.12),
    "purple": (0.19, 0.06, 0.34),
    "pink": (0.60, 0.20, 0.32),
    "brown": (0.15, 0.07, 0.035),
    "beige": (0.50, 0.39, 0.26),
}

FRAME_COLOURS: dict[str, Colour] = {
    "black": (0.01, 0.01, 0.012),
    "brown": (0.09, 0.035, 0.015),
    "golden": (0.35, 0.28, 0.14),
    "silver": (0.25, 0.25, 0.27),
    "red": (0.25, 0.02, 0.03),
    "blue": (0.03, 0.06, 0.2),
}

HAIR_STYLES = (
    "bald",
    "buzz",
    "side_parted",
    "combed_back",
    "messy",
    "curly_short",
    "afro",
    "bob",
    "long_straight",
    "long_side",
    "ponytail",
    "bun",
    "slick",
    "mohawk",
    "long_fringe",
    "curly_long",
)
BEARDS = ("none", "stubble", "moustache", "goatee", "full", "short", "chinstrap")
FRAMES = ("round", "rectangular", "oval", "square")
PATTERNS = ("plain", "striped", "pinstriped", "checked", "dotted")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkinSpec:
    """Colour and marks of the skin."""

    melanin: float  # 0 palest..1 darkest, index into SKIN_TONES
    redness: float  # standard normal
    yellowness: float  # standard normal
    brightness: float  # added to 1
    blotchiness: float  # 0..1
    freckles: float  # 0 none..1 many
    moles: int
    scar: bool
    blush: float  # 0..1
    eye_bags: float  # 0..1
    roughness: float  # 0.8..1.25
    oiliness: float  # 0.5..1.4
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowSpec:
    """The eyebrows."""

    colour: str  # key of HAIR_COLOURS
    thickness: float
    height: float  # above the average place
    arch: float
    slope: float  # positive rises outwards
    density: float  # 0..1
    inner: float  # |x| where they begin
    outer: float  # |x| where they end


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeSpec:
    """The eyeballs."""

    iris: Colour
    pupil_angle: float  # radius seen from the eye's centre
    iris_angle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeupSpec:
    """Lips and lids."""

    lip_tint: Colour  # standard normals around the natural colour
    lipstick: float  # 0 none..1
    lipstick_colour: Colour
    eyeshadow: float  # 0 none..1
    eyeshadow_colour: Colour
    eyeliner: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class HairSpec:
    """Hair on the head."""

    style: str  # one of HAIR_STYLES
    colour: str  # key of HAIR_COLOURS
    brightness: float  # factor
    volume: float  # 0.6..1.4
    parting: float  # signed x of the parting
    line: float  # hairline, added height
    recession: float  # 0 none
    length: float  # 0.7..1.4
    fringe: float  # 0..1
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassesSpec:
    """A pair of glasses."""

    frame: str  # one of FRAMES
    colour: str  # key of FRAME_COLOURS


@dataclass(frozen=True, slots=True, kw_only=True)
class ClothesSpec:
    """A top."""

    colour: str  # key of CLOTH_COLOURS
    second_colour: str  # of the pattern
    shade: float  # factor on both colours, 0.8..1.15
    pattern: str  # one of PATTERNS
    neckline: int  # clothes_shape.ROUND_NECK..ROLL_NECK


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSpec:
    """A synthetic adult."""

    seed: int
    masculinity: float  # 0..1, bimodal
    age: float  # 0 young adult..1 old
    ancestry: Colour  # European, African, Asian head shape, sums to 1
    muscle: float  # 0..1
    weight: float  # 0..1
    shape: tuple[tuple[str, float], ...]  # local target and its weight
    skin: SkinSpec
    brows: BrowSpec
    eyes: EyeSpec
    makeup: MakeupSpec
    hair: HairSpec
    beard: str  # one of BEARDS
    glasses: GlassesSpec | None
    clothes: ClothesSpec

    @property
    def is_man(self) -> bool:
        """Which of the two words the captions use."""
        return self.masculinity > 0.5

    @property
    def beard_colour(self) -> str:
        """Beards keep the natural colour when the hair is dyed."""
        return self.hair.colour if self.hair.colour in ("grey", "white") else self.brows.colour

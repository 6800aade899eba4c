"""How often eye, hair, beard and make-up colours and styles occur; plain tables for `sampling`."""

IRIS_COLOURS = (
    (0.10, 0.045, 0.018),
    (0.055, 0.025, 0.012),
    (0.16, 0.085, 0.03),
    (0.10, 0.16, 0.26),
    (0.17, 0.24, 0.30),
    (0.07, 0.16, 0.08),
    (0.16, 0.17, 0.15),
    (0.22, 0.15, 0.05),
)
IRIS_LIGHT = (0.2, 0.1, 0.12, 0.2, 0.12, 0.12, 0.09, 0.05)
IRIS_DARK = (0.35, 0.6, 0.04, 0.0, 0.0, 0.0, 0.0, 0.01)
NATURAL_HAIR = (
    "black",
    "dark brown",
    "brown",
    "chestnut",
    "light brown",
    "blond",
    "ginger",
    "red",
    "platinum blond",
)
HAIR_BY_ANCESTRY = (
    (0.15, 0.22, 0.2, 0.1, 0.1, 0.1, 0.06, 0.04, 0.03),
    (0.7, 0.22, 0.05, 0.01, 0.0, 0.01, 0.0, 0.0, 0.01),
    (0.65, 0.22, 0.08, 0.02, 0.0, 0.02, 0.0, 0.01, 0.0),
)
DYED_HAIR = ("blue", "pink", "green", "purple", "platinum blond")
STYLES_OF_MEN = {
    "bald": 0.10,
    "buzz": 0.11,
    "side_parted": 0.19,
    "combed_back": 0.13,
    "messy": 0.12,
    "curly_short": 0.09,
    "afro": 0.05,
    "slick": 0.08,
    "mohawk": 0.03,
    "bob": 0.02,
    "long_straight": 0.03,
    "ponytail": 0.02,
    "bun": 0.03,
}
STYLES_OF_WOMEN = {
    "bob": 0.14,
    "long_straight": 0.16,
    "long_side": 0.15,
    "ponytail": 0.10,
    "bun": 0.08,
    "long_fringe": 0.12,
    "curly_long": 0.10,
    "curly_short": 0.05,
    "afro": 0.04,
    "side_parted": 0.03,
    "messy": 0.02,
    "buzz": 0.01,
}
BEARD_ODDS = (0.34, 0.22, 0.09, 0.10, 0.12, 0.09, 0.04)
LIPSTICKS = (
    (0.42, 0.03, 0.05),
    (0.50, 0.12, 0.14),
    (0.22, 0.02, 0.06),
    (0.45, 0.10, 0.22),
    (0.35, 0.10, 0.06),
    (0.55, 0.20, 0.20),
)
EYESHADOWS = (
    (0.10, 0.05, 0.04),
    (0.05, 0.06, 0.16),
    (0.20, 0.06, 0.12),
    (0.05, 0.12, 0.09),
    (0.02, 0.02, 0.02),
)

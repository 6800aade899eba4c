"""The words of the captions: synonyms per fact. `captions.vocabulary` reads this module whole."""

NOUNS = {True: ("man", "guy", "gentleman"), False: ("woman", "lady")}
AGES = {
    "young": ("young", "youthful"),
    "middle": ("middle-aged", "mature"),
    "old": ("old", "older", "elderly"),
}
SKIN = (
    ("pale skin", "fair skin"),
    ("light skin", "rosy skin"),
    ("tan skin", "olive skin", "golden skin"),
    ("brown skin", "medium brown skin"),
    ("dark skin", "dark brown skin"),
)
HAIR_COLOURS = {
    "black": ("black", "jet black"),
    "dark brown": ("dark brown", "dark"),
    "brown": ("brown", "brunette"),
    "chestnut": ("chestnut", "auburn"),
    "light brown": ("light brown", "sandy"),
    "blond": ("blond", "blonde", "golden"),
    "platinum blond": ("platinum blond", "very light blond"),
    "ginger": ("ginger", "orange"),
    "red": ("red", "dark red"),
    "grey": ("grey", "gray", "silver"),
    "white": ("white", "snow white"),
    "blue": ("blue", "dyed blue"),
    "pink": ("pink", "dyed pink"),
    "green": ("green", "dyed green"),
    "purple": ("purple", "violet"),
}
HAIR = {
    "bald": ("a bald head", "no hair", "a shaved head"),
    "buzz": ("a {colour} buzz cut", "very short {colour} hair", "cropped {colour} hair"),
    "side_parted": ("short {colour} hair", "short {colour} hair with a side parting"),
    "combed_back": ("short {colour} hair combed back", "brushed back {colour} hair"),
    "messy": ("messy {colour} hair", "untidy {colour} hair", "spiky {colour} hair"),
    "curly_short": ("short curly {colour} hair", "{colour} curls"),
    "afro": ("a {colour} afro", "a big round {colour} afro"),
    "bob": ("a {colour} bob", "chin-length {colour} hair", "straight {colour} hair to the chin"),
    "long_straight": ("long straight {colour} hair", "long {colour} hair"),
    "long_side": ("long {colour} hair with a side parting", "long {colour} hair"),
    "ponytail": ("a {colour} ponytail", "{colour} hair tied back"),
    "bun": ("{colour} hair in a bun", "a {colour} bun", "{colour} hair tied up"),
    "slick": ("slick {colour} hair", "slicked-back {colour} hair"),
    "mohawk": ("a {colour} mohawk", "a {colour} punk haircut"),
    "long_fringe": ("long {colour} hair with a fringe", "long {colour} hair with bangs"),
    "curly_long": ("long curly {colour} hair", "long wavy {colour} hair"),
}
BEARDS = {
    "stubble": ("stubble", "a light stubble", "an unshaven face"),
    "moustache": ("a moustache", "a mustache"),
    "goatee": ("a goatee", "a goatee beard"),
    "full": ("a full beard", "a thick beard", "a big beard"),
    "short": ("a short beard", "a trimmed beard", "a neat beard"),
    "chinstrap": ("a chinstrap beard", "a narrow beard along the jaw"),
}
FRAMES = {
    "round": ("round",),
    "rectangular": ("rectangular",),
    "oval": ("oval",),
    "square": ("square",),
}
GLASSES = ("glasses", "spectacles", "eyeglasses")
FRAME_COLOURS = ("black", "brown", "golden", "silver", "red", "blue")
CLOTH_COLOURS = ("black white grey red orange yellow green teal blue navy purple pink brown beige",)
WEARING = ("in", "wearing", "dressed in")
GARMENTS = {
    False: ("top", "sweater", "shirt", "jumper", "pullover"),
    True: ("top", "shirt", "blouse"),
}
ROLL_NECKS = ("roll neck", "turtleneck", "turtleneck sweater", "polo neck")
V_NECK = "v-neck"
PATTERNS = {
    "striped": ("striped", "stripy"),
    "pinstriped": ("pinstriped", "striped"),
    "checked": ("checked", "plaid", "checkered"),
    "dotted": ("dotted", "spotted", "polka-dot"),
}
PLACES = {
    "left": ("on the left", "at the left", "to the left", "on the left side"),
    "middle_left": ("to the left of the middle", "in the middle on the left"),
    "middle": ("in the middle", "in the center", "in the centre", "at the center"),
    "middle_right": ("to the right of the middle", "in the middle on the right"),
    "right": ("on the right", "at the right", "to the right", "on the right side"),
}
ACTIONS = {
    "still": ("stays still", "holds still", "does not move", "sits still"),
    "talking": ("talks", "is talking", "speaks", "is speaking", "says something", "chats"),
    "nodding": ("nods", "is nodding", "nods in agreement", "says yes with a nod"),
    "shaking": ("shakes the head", "is shaking the head", "turns the head from side to side"),
    "looking_left": ("looks to the left", "looks left", "glances left", "is looking left"),
    "looking_right": ("looks to the right", "looks right", "glances right", "is looking right"),
    "looking_up": ("looks up", "glances up", "is looking up"),
    "looking_down": ("looks down", "glances down", "is looking down"),
    "turning_left": ("turns to the left", "turns left", "is turning left"),
    "turning_right": ("turns to the right", "turns right", "is turning right"),
    "tilting": ("tilts the head", "is tilting the head", "leans the head to one side"),
    "blinking": ("blinks", "is blinking", "blinks often", "closes the eyes again and again"),
    "laughing": ("laughs", "is laughing", "laughs happily", "giggles"),
}
EXPRESSIONS = {
    "neutral": ("looks calm", "looks serious", "has a neutral face", "looks relaxed"),
    "smiling": ("smiles", "is smiling", "looks happy", "has a friendly smile"),
    "grinning": ("grins", "is grinning", "smiles widely", "has a big smile"),
    "frowning": ("frowns", "is frowning", "looks angry", "looks annoyed"),
    "surprised": ("looks surprised", "is surprised", "looks amazed", "looks shocked"),
    "sad": ("looks sad", "is sad", "looks worried", "looks unhappy"),
}
THEN = ("and then", "then", "and after that")
NUMBERS = {1: "one person", 2: "two people", 3: "three people", 4: "four people"}
TOGETHER = (
    "{number}, {names}, are side by side",
    "{names} are together",
    "{number} next to each other: {names}",
    "{names} stand side by side",
    "a video of {number}, {names}",
)
SENTENCES = {
    "full": (
        "{name}, {looks}, is {place} and {doing}",
        "{name} is {looks}, {place}, who {doing}",
        "{place} {name}, {looks}, {doing}",
        "{name}, {looks}, {doing} {place}",
        "{place} there is {name}, {looks}, who {doing}",
    ),
    "placeless": (
        "{name}, {looks}, {doing}",
        "{name} is {looks}, who {doing}",
        "there is {name}, {looks}, who {doing}",
        "a video of {name}, {looks}, who {doing}",
    ),
    "short": (
        "{name} {doing} {place}",
        "{place} {name} {doing}",
        "{place}, {name} {doing}",
        "we see {name} {place}, who {doing}",
    ),
}
BACKGROUNDS = {
    "wall": ("a {colour} wall", "a plain {colour} wall", "a {colour} room"),
    "window": ("a window", "a window with curtains", "a room with a window"),
    "field": ("a green field under the sky", "fields and hills", "a meadow"),
    "sea": ("the sea", "a beach", "the ocean"),
    "trees": ("trees", "a park", "a forest", "a garden with trees"),
    "street": ("a street at night", "city lights", "blurry street lights"),
    "curtain": ("a {colour} curtain", "{colour} curtains"),
    "bookshelf": ("a bookshelf", "shelves full of books", "a library"),
    "bricks": ("a brick wall", "a wall of red bricks"),
}
BACKGROUND_COLOURS = ("white grey blue green yellow pink red brown purple",)
LIGHTS = {
    "soft": ("soft light", "gentle light", "even light"),
    "sunny": ("bright sunlight from the {side}", "bright sunshine", "sunny light"),
    "warm": ("warm light", "warm light from the {side}", "warm lamp light"),
    "cool": ("cool light", "cold light", "cool daylight"),
    "window": ("light from the {side}", "daylight from the {side}", "strong light from the {side}"),
    "evening": ("dim light", "evening light", "dark evening light"),
}
SIDES = ("left", "right")
ONLY_LIGHT = ("there is {light}", "{light}", "the scene has {light}", "lit by {light}")
ONLY_PLACE = (
    "behind them is {background}",
    "in the background there is {background}",
    "the background is {background}",
    "in front of {background}",
)
PLACE_AND_LIGHT = (
    "behind them is {background}, in {light}",
    "the background is {background}, with {light}",
    "in front of {background}, {light}",
    "{background} in the background and {light}",
)
WALKS = {
    "enter": (
        "comes in from the {side}",
        "enters from the {side}",
        "walks in from the {side}",
    ),
    "leave": ("leaves to the {side}", "goes away to the {side}", "walks out to the {side}"),
    "front": (
        "walks past {other} to the {side}",
        "goes to the {side} in front of {other}",
        "passes in front of {other} to the {side}",
    ),
    "behind": (
        "walks behind {other} to the {side}",
        "goes to the {side} behind {other}",
        "passes behind {other} to the {side}",
    ),
    "aside": ("moves to the {side}", "goes to the {side}", "walks to the {side}"),
}
CAMERA_MOVES = {
    "pan_left": ("the camera moves to the left", "the camera pans left"),
    "pan_right": ("the camera moves to the right", "the camera pans right"),
    "zoom_in": ("the camera moves closer", "the camera zooms in", "the camera comes closer"),
    "zoom_out": ("the camera moves back", "the camera zooms out", "the camera moves away"),
}
SHAKES = ("the camera shakes", "the camera is not still", "a handheld camera")
CUTS = {
    "close": (
        "then the camera cuts to {name}",
        "then the camera cuts to a close view of {name}",
        "cut to a close view of {name}",
    ),
    "side": (
        "then the camera cuts to a view from the side",
        "the camera cuts to the side",
        "cut to a view from the side",
    ),
    "wide": (
        "then the camera cuts to a wide view",
        "the camera cuts to a view from far away",
        "cut to a wide view",
    ),
}
FOREGROUNDS = {"plant": ("plant",), "pillar": ("pillar", "column"), "lamp": ("lamp",)}
IN_FRONT = (
    "a {thing} is in front of {name}",
    "{name} is behind a {thing}",
    "in front of {name} there is a {thing}",
)

"""What people do: expressions, actions and idle movement, as curves over time.

Turning is in radians; positive yaw and gaze go to the picture's right, positive pitch looks down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.anatomy import Motion, expression_names
from idvid.people.events import WALK_HEAD_TURN, WALK_TURN, Walk
from idvid.people.noise import smoothstep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.people.waves import Wave


def _pair(name: str, weight: float) -> dict[str, float]:
    return {name + "Left": weight, name + "Right": weight}


EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smiling": _pair("mouthSmile", 0.75) | _pair("cheekSquint", 0.4),
    "grinning": _pair("mouthSmile", 0.9)
    | {"jawOpen": 0.18}
    | _pair("mouthUpperUp", 0.4)
    | _pair("eyeSquint", 0.25),
    "frowning": _pair("browDown", 0.75) | _pair("mouthFrown", 0.6),
    "surprised": _pair("eyeWide", 0.6)
    | {"browInnerUp": 0.75, "jawOpen": 0.38}
    | _pair("browOuterUp", 0.65),
    "sad": {"browInnerUp": 0.85} | _pair("mouthFrown", 0.55),
}
_CODED = (  # the left one of a pair stands for both
    "mouthSmileLeft",
    "mouthFrownLeft",
    "jawOpen",
    "mouthFunnel",
    "browInnerUp",
    "browDownLeft",
    "eyeBlinkLeft",
    "eyeWideLeft",
)
ACTIONS = (
    "still",
    "talking",
    "nodding",
    "shaking",
    "looking_left",
    "looking_right",
    "looking_up",
    "looking_down",
    "turning_left",
    "turning_right",
    "tilting",
    "blinking",
    "laughing",
)
ACTION_ODDS = (0.12, 0.20, 0.08, 0.07, 0.07, 0.07, 0.04, 0.04, 0.08, 0.08, 0.05, 0.06, 0.04)
YAW_LIMIT = 0.85
BLINK_SECONDS = 0.11  # half width of a blink


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSpec:
    """One person's part in a scene."""

    place: str  # "left", "middle_left", "middle", "middle_right" or "right"
    x: float  # decimetres from the picture's middle
    y: float  # height of the head above the others'
    depth: float  # towards the camera
    head: tuple[float, float, float]  # mean yaw, pitch, roll
    body_yaw: float
    idle: tuple[Wave, ...]  # yaw, pitch, roll, body yaw, gaze right, gaze up, x, y
    expression_start: str
    expression_end: str
    expression_strength: float
    change: tuple[float, float]  # start and end of the change, shares of the clip
    action: str  # one of ACTIONS
    action_start_s: float
    action_hertz: float
    action_strength: float
    mumble: Wave  # how much a talking mouth opens
    blinks_s: tuple[float, ...]
    walk: Walk | None = None


def expression_curve(actor: ActorSpec, time_s: NDArray, duration_s: float) -> NDArray[np.float32]:
    """Weights (T, expressions) without talking and blinking."""
    names = expression_names()
    out = np.zeros((len(time_s), len(names)), np.float32)
    start, end = (share * duration_s for share in actor.change)
    arrived = smoothstep(start, max(end, start + 1e-3), time_s)
    sides = ((actor.expression_start, 1 - arrived), (actor.expression_end, arrived))
    for expression, share in sides:
        for name, weight in EXPRESSIONS[expression].items():
            out[:, names.index(name)] += weight * actor.expression_strength * share
    return out


def perform(actor: ActorSpec, time_s: NDArray, duration_s: float) -> Motion:
    """The motion (T frames) of an actor whose head joint rests at the world's origin height."""
    expression = expression_curve(actor, time_s, duration_s)
    waves = [wave.at(time_s) for wave in actor.idle]
    head = np.stack([np.array(actor.head)[i] + waves[i] for i in range(3)], 1)
    body_yaw = actor.body_yaw + waves[3]
    gaze = np.stack(waves[4:6], 1)
    ramp = min(0.5, 0.35 * duration_s)
    on = smoothstep(0, ramp, time_s - actor.action_start_s) * actor.action_strength
    beat = np.sin(2 * np.pi * actor.action_hertz * (time_s - actor.action_start_s))
    _act(actor.action, on, beat, (head, body_yaw, gaze))
    _speak(actor, on, time_s, expression)
    _blink(actor, time_s, gaze, expression)
    zero = np.zeros(len(time_s))
    position = np.stack([actor.x + waves[6], actor.y + waves[7], zero + actor.depth], 1)
    if actor.walk is not None:
        offset, aside = actor.walk.at(time_s, duration_s)
        position += offset
        head[:, 0] += WALK_HEAD_TURN * aside
        body_yaw = body_yaw + WALK_TURN * aside
    head[:, 0] = np.clip(head[:, 0], -YAW_LIMIT, YAW_LIMIT)
    return Motion(expression=expression, head=head, body_yaw=body_yaw, gaze=gaze, position=position)


def expression_code(motion: Motion) -> NDArray[np.float32]:
    """What a face does, (T, len(EXPRESSION)): few numbers in place of all targets of both sides.

    Lids are negative where eyes are wide; gaze is in radians, the rest are weights of targets.
    """
    names = expression_names()
    left = {name: motion.expression[:, names.index(name)] for name in _CODED}
    shut = left["eyeBlinkLeft"] - left["eyeWideLeft"]
    columns = [left[name] for name in _CODED[:6]]
    return np.stack([*columns, shut, *motion.gaze.T], axis=1).astype(np.float32)


def _act(action: str, on: NDArray, beat: NDArray, parts: tuple) -> None:
    """Add an action to head (T, 3), body yaw (T,) and gaze (T, 2), in place."""
    head, body_yaw, gaze = parts
    moves = {
        "nodding": (0.0, 0.15 * beat, 0.0, 0.0, 0.0, 0.0),
        "shaking": (0.26 * beat, 0.0, 0.0, 0.0, 0.0, 0.0),
        "looking_left": (-0.30, 0.0, 0.0, 0.0, -0.34, 0.0),
        "looking_right": (0.30, 0.0, 0.0, 0.0, 0.34, 0.0),
        "looking_up": (0.0, -0.20, 0.0, 0.0, 0.0, 0.24),
        "looking_down": (0.0, 0.22, 0.0, 0.0, 0.0, -0.24),
        "turning_left": (-0.55, 0.0, 0.0, -0.25, -0.08, 0.0),
        "turning_right": (0.55, 0.0, 0.0, 0.25, 0.08, 0.0),
        "tilting": (0.0, 0.0, 0.24, 0.0, 0.0, 0.0),
        "laughing": (0.0, 0.05 * beat - 0.04, 0.03 * beat, 0.0, 0.0, 0.0),
    }
    move = moves.get(action)
    if move is None:
        return
    for column in range(3):
        head[:, column] += on * move[column]
    body_yaw += on * move[3]
    gaze[:, 0] += on * move[4]
    gaze[:, 1] += on * move[5]


def _speak(actor: ActorSpec, on: NDArray, time_s: NDArray, expression: NDArray) -> None:
    """Open and round the mouth of somebody who talks or laughs, in place."""
    names = expression_names()
    if actor.action == "talking":
        beat = np.abs(np.sin(np.pi * actor.action_hertz * 1.6 * time_s + actor.x))
        opening = on * beat * np.clip(0.75 + actor.mumble.at(time_s), 0.2, 1.2)
        rounding = np.clip(0.3 + actor.mumble.at(time_s * 1.7 + 3), 0, 1)
        jaw, funnel = names.index("jawOpen"), names.index("mouthFunnel")
        expression[:, jaw] = 0.4 * expression[:, jaw] + 0.42 * opening
        expression[:, funnel] += 0.45 * rounding * opening
    if actor.action == "laughing":
        for name, weight in (EXPRESSIONS["grinning"] | {"jawOpen": 0.34}).items():
            column = names.index(name)
            expression[:, column] += on * (weight - expression[:, column])


def _blink(actor: ActorSpec, time_s: NDArray, gaze: NDArray, expression: NDArray) -> None:
    """Close the lids at each blink, and lower them when the eyes look down, in place."""
    names = expression_names()
    closed = np.zeros(len(time_s))
    for moment in actor.blinks_s:
        closed = np.maximum(closed, np.exp(-(((time_s - moment) / BLINK_SECONDS) ** 2)))
    for side in ("Left", "Right"):
        expression[:, names.index("eyeBlink" + side)] = closed
        wide = names.index("eyeWide" + side)
        expression[:, wide] *= 1 - closed
        expression[:, names.index("eyeLookDown" + side)] = np.clip(-gaze[:, 1] * 1.6, 0, 0.6)

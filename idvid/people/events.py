"""What happens in a clip beside acting: who walks, what the camera does, what stands in front.

An event is plain values; `motion`, `camera` and `foreground` carry it out, the captions tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.people.noise import smoothstep
from idvid.people.waves import Wave, sample_wave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

EVENT_ODDS = {
    "none": 0.42,
    "enter": 0.09,
    "leave": 0.07,
    "cross": 0.09,  # only where there are two people or more
    "foreground": 0.09,
    "cut": 0.10,
    "camera": 0.14,
}
MOVES = ("pan_left", "pan_right", "zoom_in", "zoom_out")
CUTS = {1: ("wide", "side"), 2: ("close", "close", "side", "wide"), 3: ("close", "side")}
FOREGROUNDS = ("plant", "pillar", "lamp")
SHAKE_SHARE, SECOND_SHARE = 0.08, 0.2  # clips with a shaky camera; walks with a camera move
PAN_DM = {1: 0.95, 2: 0.8, 3: 0.7, 4: 0.6}  # most way of the camera to either side
OUTSIDE_DM = 1.7  # from the edge of the picture to the middle of somebody out of sight
FRONT_DM, BACK_DM = 1.55, -0.9  # towards the camera, of somebody who passes and who is passed
BOB_DM, STEPS_HZ = 0.06, 1.9
WALK_TURN, WALK_HEAD_TURN = 0.55, 0.4  # radians towards where somebody walks


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A way from one offset of the actor's place to another (decimetres aside)."""

    kind: str  # "enter", "leave", "front", "behind" (passes there) or "aside" (is passed)
    start_dm: float
    end_dm: float
    arc_dm: float  # towards the camera half way
    times: tuple[float, float]  # shares of the clip
    other: int | None = None  # the actor that is passed

    @property
    def side(self) -> str:
        """Where the walk goes; for somebody who enters, where from."""
        way = self.end_dm - self.start_dm
        return "right" if (way > 0) != (self.kind == "enter") else "left"

    def at(self, time_s: NDArray, duration_s: float) -> tuple[NDArray, NDArray]:
        """Offset (T, 3) of the place, and (T,) -1..1 how much the walker turns aside."""
        start, end = (share * duration_s for share in self.times)
        share = smoothstep(start, end, time_s)
        moving = np.sin(np.pi * share)
        offset = np.zeros((len(time_s), 3))
        offset[:, 0] = self.start_dm + (self.end_dm - self.start_dm) * share
        offset[:, 1] = BOB_DM * moving * np.abs(np.sin(np.pi * STEPS_HZ * time_s))
        offset[:, 2] = self.arc_dm * moving
        return offset, moving * np.sign(self.end_dm - self.start_dm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A hard change to another view."""

    share: float  # of the clip, when it comes
    view: str  # "close", "side" or "wide"
    actor: int  # whom a close view shows
    turn: float  # radians around the people, of a side view


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPlan:
    """What the camera does."""

    move: str = "still"  # or one of MOVES
    amount: float = 0.0  # decimetres to either side; or how much nearer, as a factor less one
    shake: tuple[Wave, Wave] | None = None  # decimetres right and up
    cut: Cut | None = None


STILL = CameraPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForegroundSpec:
    """A thing between camera and people."""

    kind: str  # one of FOREGROUNDS
    actor: int  # whom it hides more or less
    x: float  # decimetres from the picture's middle, at the people's distance
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """All that happens in a clip beside acting; `walks` has an entry per actor."""

    camera: CameraPlan
    foreground: ForegroundSpec | None
    walks: tuple[Walk | None, ...]


def no_events(count: int) -> Events:
    """A still camera before `count` people who stay where they are."""
    return Events(camera=STILL, foreground=None, walks=(None,) * count)


def sample_events(rng: Generator, places: Sequence[float], half_width: float) -> Events:
    """Events for people at `places` (decimetres, from left to right).

    Args:
        rng: the scene's stream for events.
        places: where the people stand.
        half_width: of the picture, decimetres at the people's distance.
    """
    count, names = len(places), tuple(EVENT_ODDS)
    event = names[int(rng.choice(len(names), p=tuple(EVENT_ODDS.values())))]
    walks: list[Walk | None] = [None] * count
    if event == "cross" and count > 1:
        walks = _cross(rng, places)
    elif event in ("enter", "leave"):
        index = int(rng.choice((0, count - 1)))
        walks[index] = _pass_edge(rng, event, places, index, half_width)
    walks_along = any(walks) and rng.random() < SECOND_SHARE
    foreground = None
    if event == "foreground":
        actor = int(rng.integers(count))
        foreground = ForegroundSpec(
            kind=FOREGROUNDS[int(rng.integers(len(FOREGROUNDS)))],
            actor=actor,
            x=places[actor] + float(rng.uniform(-0.9, 0.9)),
            seed=int(rng.integers(1 << 30)),
        )
    moves = MOVES[:2] if event == "foreground" else MOVES
    has_move = event == "camera" or walks_along or (event == "foreground" and rng.random() < 0.85)
    move = moves[int(rng.integers(len(moves)))] if has_move else "still"
    return Events(
        camera=CameraPlan(
            move=move,
            amount=_amount(rng, move, count),
            shake=_shake(rng) if rng.random() < SHAKE_SHARE else None,
            cut=_cut(rng, count) if event == "cut" else None,
        ),
        foreground=foreground,
        walks=tuple(walks),
    )


def _amount(rng: Generator, move: str, count: int) -> float:
    if move.startswith("pan"):
        return float(rng.uniform(0.6, 1.0) * PAN_DM[count])
    return float(rng.uniform(0.16, 0.4) if count < 3 else rng.uniform(0.12, 0.22))


def _shake(rng: Generator) -> tuple[Wave, Wave]:
    return (sample_wave(rng, 0.09, (0.8, 3.2)), sample_wave(rng, 0.07, (0.8, 3.2)))


def _cut(rng: Generator, count: int) -> Cut:
    views = CUTS[min(count, 3)]
    return Cut(
        share=float(rng.uniform(0.35, 0.65)),
        view=views[int(rng.integers(len(views)))],
        actor=int(rng.integers(count)),
        turn=float(rng.choice((-1, 1)) * rng.uniform(0.3, 0.5)),
    )


def _pass_edge(
    rng: Generator, kind: str, places: Sequence[float], index: int, half_width: float
) -> Walk:
    """Somebody at the edge of the group comes from outside the picture or goes there."""
    side = float(rng.choice((-1, 1))) if len(places) == 1 else (-1.0 if index == 0 else 1.0)
    way = side * (half_width + OUTSIDE_DM) - places[index]
    if kind == "enter":
        times = (float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.5, 0.75)))
        return Walk(kind=kind, start_dm=way, end_dm=0.0, arc_dm=0.0, times=times)
    times = (float(rng.uniform(0.25, 0.5)), float(rng.uniform(0.9, 1.1)))
    return Walk(kind=kind, start_dm=0.0, end_dm=way, arc_dm=0.0, times=times)


def _cross(rng: Generator, places: Sequence[float]) -> list[Walk | None]:
    """Two neighbours change places; one passes before or behind the other."""
    first = int(rng.integers(len(places) - 1))
    pair = (first, first + 1) if rng.random() < 0.5 else (first + 1, first)
    walker, other = pair
    way = places[other] - places[walker]
    times = (float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.8, 1.0)))
    in_front = rng.random() < 0.65
    arcs = (FRONT_DM, BACK_DM) if in_front else (BACK_DM, FRONT_DM)
    walks: list[Walk | None] = [None] * len(places)
    walks[walker] = Walk(
        kind="front" if in_front else "behind",
        start_dm=0.0,
        end_dm=way,
        arc_dm=arcs[0],
        times=times,
        other=other,
    )
    walks[other] = Walk(kind="aside", start_dm=0.0, end_dm=-way, arc_dm=arcs[1], times=times)
    return walks

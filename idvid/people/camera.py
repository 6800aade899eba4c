"""Cameras of a clip, frame by frame, and the part of the background that each of them sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.noise import smoothstep
from idvid.people.render import look_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.people.events import CameraPlan, Cut
    from idvid.people.render import Camera

DISTANCE = 14.0  # decimetres from the camera to the people
CHIN = -1.02  # decimetres of the chin below the head joint
CLOSE_SPAN, WIDE_FACTOR = 2.55, 1.35  # decimetres that a close view is high; of a wide one, times
PARALLAX = 0.35  # how far the background follows the people when the camera goes aside
MARGIN = 6  # pixels of background around a 128 px high picture


class Shooting(NamedTuple):
    """How a clip is filmed."""

    cameras: list[Camera]  # one per frame
    corners: NDArray[np.float64]  # (T, 2) px of the picture's corner in the background
    steps: NDArray[np.float64]  # (T,) px of the background per px of the picture
    is_after_cut: NDArray[np.bool_]  # (T,)
    aside_px: NDArray[np.float64]  # (T, 2) way of the camera right and down, at the people
    turn: NDArray[np.float64]  # (T,) radians around the people, positive to their left
    background_size: tuple[int, int]  # (height, width) that the corners ask for


def shoot(
    plan: CameraPlan,
    drift: NDArray,
    framing: tuple[float, Sequence[float], Sequence[float]],
    timing: tuple[NDArray, float],
    size: tuple[int, int],
) -> Shooting:
    """Film people.

    Args:
        plan: what the camera does.
        drift: (T, 2) px of the background beside all else.
        framing: height of the picture in decimetres, tops of the heads above the head joint, places
            from left to right at the end of the clip.
        timing: (T,) seconds, and the clip's length.
        size: (width, height) of the picture in pixels.
    """
    (span, tops, places), (time_s, duration_s) = framing, timing
    width, height = size
    span = max(span, max(tops) - CHIN + 0.1)
    count, cut = len(time_s), plan.cut
    after = np.zeros(count, bool) if cut is None else time_s >= cut.share * duration_s
    spans = span / (1 + plan.amount * _nearness(plan, time_s / duration_s))
    right, up, turn = _aside(plan, time_s / duration_s), np.zeros(count), np.zeros(count)
    shown = [tops] * count
    if cut is not None:
        _apply(cut, after, (spans, right, turn), places)
        if cut.view == "close":
            spans[after] = np.maximum(CLOSE_SPAN, tops[cut.actor] - CHIN + 0.1)
            shown = [[tops[cut.actor]] if late else tops for late in after]
    if plan.shake is not None:
        jolts = [wave.at(time_s) for wave in plan.shake]
        right, up = right + jolts[0], jolts[1]
    cameras = [
        _camera(float(spans[t]), shown[t], (right[t], up[t], turn[t]), size) for t in range(count)
    ]
    steps = spans / span
    scale = height / span
    sought = drift + np.stack([PARALLAX * right, -up], 1) * scale
    extent = np.array([width, height]) * steps.max()
    reach = np.maximum(np.abs(sought - drift).max(0), 0) + MARGIN * height / 128
    whole = np.round(extent + 2 * reach).astype(int) + 1
    seen = np.array([width, height])[None] * steps[:, None]
    room = whole - 1 - seen
    corners = np.clip(room / 2 + sought, 0, room)
    aside_px = np.stack([right, -up], 1) * scale
    return Shooting(cameras, corners, steps, after, aside_px, turn, (int(whole[1]), int(whole[0])))


def _apply(cut: Cut, after: NDArray, state: tuple, places: Sequence[float]) -> None:
    """Change what the camera does after a cut, in place."""
    spans, right, turn = state
    right[after] = places[cut.actor] if cut.view == "close" else 0.0
    if cut.view == "wide":
        spans[after] *= WIDE_FACTOR
    if cut.view == "side":
        turn[after] = cut.turn


def _nearness(plan: CameraPlan, share: NDArray) -> NDArray:
    if plan.move == "zoom_in":
        return smoothstep(0.0, 1.0, share)
    return 1 - smoothstep(0.0, 1.0, share) if plan.move == "zoom_out" else np.zeros(len(share))


def _aside(plan: CameraPlan, share: NDArray) -> NDArray:
    sign = {"pan_left": -1.0, "pan_right": 1.0}.get(plan.move, 0.0)
    return sign * plan.amount * (2 * smoothstep(-0.1, 1.1, share) - 1)


def _camera(
    span: float, tops: Sequence[float], way: tuple[float, float, float], size: tuple[int, int]
) -> Camera:
    """A camera that cuts no chin and, where there is room, no hair."""
    right, up, turn = way
    target_y = max(max(tops) - span / 2, 0.02)
    target_y = min(target_y, CHIN + span / 2 - 0.05) + up
    eye = (right + np.sin(turn) * DISTANCE, target_y + 0.3, np.cos(turn) * DISTANCE)
    return look_at(eye, (right, target_y, 0), size[1] * DISTANCE / span, size)

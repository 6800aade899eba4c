"""A clip of VACE as a row of windows, what is kept between them, and colour that stays.

Every window begins with frames that are finished already; they are read, drawn again by the model
and thrown away, and what the model did to their colours is undone on the new ones. Memory does not
grow with the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_DISTANT = 2  # older frames in view, each a latent frame in every window
_REMEMBERED = 8
_MAX_GAIN, _MAX_OFFSET = 1.15, 16.0  # colour correction beyond this would hide a real change


@dataclass(frozen=True, slots=True, kw_only=True)
class VaceWindow:
    """Which frames are made next."""

    first_frame: int  # of the new ones, in the clip
    num_new: int
    num_kept: int  # finished frames in front of them, 0 or 4 n + 1
    num_frames: int  # denoised together, 4 n + 1; the last few may be thrown away
    total_frames: int  # of the clip
    index: int
    num_windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VaceHistory:
    """Finished frames that later windows may read."""

    recent: NDArray[np.uint8]  # (T, H, W, 3), the last ones
    distant: tuple[NDArray[np.uint8], ...] = ()  # older ones, spread over the clip


def plan_windows(
    total: int, window_frames: int, kept_frames: int, before: int = 0
) -> tuple[VaceWindow, ...]:
    """Cover `total` new frames.

    Args:
        total: frames of the clip, at least 1.
        window_frames: frames denoised together, 4 n + 1.
        kept_frames: finished frames in each window but the first, 4 n + 1.
        before: finished frames of a video that the clip goes on from.
    """
    spans = list(_spans(total, window_frames, kept_frames, before))
    return tuple(
        VaceWindow(
            first_frame=first,
            num_new=new,
            num_kept=kept,
            num_frames=(kept + new + 2) // 4 * 4 + 1,
            total_frames=total,
            index=index,
            num_windows=len(spans),
        )
        for index, (first, new, kept) in enumerate(spans)
    )


def _spans(
    total: int, window_frames: int, kept_frames: int, before: int
) -> Iterator[tuple[int, int, int]]:
    """First new frame, new frames and kept frames of each window."""
    first = 0
    while first < total:
        known = min(first + before, kept_frames)
        kept = (known - 1) // 4 * 4 + 1 if known else 0
        new = min(window_frames - kept, total - first)
        yield first, new, kept
        first += new


def go_on(before: NDArray[np.uint8], size: tuple[int, int], kept_frames: int) -> VaceHistory:
    """The history of a clip that goes on from finished frames (T, H, W, 3).

    Raises:
        InputError: there are none, or they are not of the size (H, W).
    """
    if not len(before) or before.shape[1:3] != size:
        raise InputError(
            f"The video to go on from is {before.shape[2]} x {before.shape[1]} px with "
            f"{len(before)} frames; make it {size[1]} x {size[0]} px first."
        )
    return remember(None, before, kept_frames)


def remember(
    history: VaceHistory | None, frames: NDArray[np.uint8], kept_frames: int
) -> VaceHistory:
    """The history after a window's new frames (T, H, W, 3)."""
    if history is None:
        return VaceHistory(recent=frames[-kept_frames:].copy(), distant=(frames[0].copy(),))
    recent = np.concatenate([history.recent, frames])[-kept_frames:].copy()
    distant = (*history.distant, frames[0].copy())
    if len(distant) > _REMEMBERED:  # the first stays, every other one of the rest goes
        distant = (distant[0], *distant[2::2])
    return replace(history, recent=recent, distant=distant)


def distant_frames(history: VaceHistory, count: int) -> tuple[NDArray[np.uint8], ...]:
    """At most `count` remembered frames, spread over the clip so far, the first among them."""
    count = min(count, MAX_DISTANT, len(history.distant))
    step = len(history.distant) / max(count, 1)
    return tuple(history.distant[int(index * step)] for index in range(count))


def match_colour(
    made: NDArray[np.uint8], num_kept: int, finished: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """A window's new frames in the colours of the frames that they continue.

    The model draws the kept frames again: what gain and offset per channel would make them what
    they were is applied to the new frames.

    Args:
        made: the whole window as decoded (K + T, H, W, 3).
        num_kept: K.
        finished: the kept frames as they are in the clip (K, H, W, 3).

    Returns:
        the new frames (T, H, W, 3).
    """
    new = made[num_kept:]
    if num_kept == 0:
        return new
    axes = (0, 1, 2)
    drawn = made[:num_kept].astype(np.float32)
    true = finished.astype(np.float32)
    spread = drawn.std(axes)
    gain = np.clip(true.std(axes) / np.maximum(spread, 1.0), 1 / _MAX_GAIN, _MAX_GAIN)
    gain = np.where(spread < 1.0, 1.0, gain)
    middle = drawn.mean(axes)
    offset = np.clip(true.mean(axes) - middle, -_MAX_OFFSET, _MAX_OFFSET)
    corrected = (new.astype(np.float32) - middle) * gain + middle + offset
    return np.clip(np.rint(corrected), 0, 255).astype(np.uint8)

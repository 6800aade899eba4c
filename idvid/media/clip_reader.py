"""Untrusted video in: any common file to upright RGB frames at a constant rate.

Owns the limits and the refusals for a video. Playlists and other containers that name further
files or addresses are not among the formats, so nothing beyond the file itself is ever opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition

from idvid.errors import InputError
from idvid.media.image import shown_name
from idvid.types import Clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_FORMATS = "mov,matroska,avi,mpegts,mpeg,ogg,flv,gif,asf"
MAX_SOURCE_MEGAPIXELS = 40  # per frame; 8K is 33
_ONE_FRAME_RATE = Fraction(25)  # for a file that does not say how fast it plays
_USE_INSTEAD = "use an MP4, MOV, WebM, MKV or AVI video"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLimits:
    """What is read of a video, and what is refused."""

    max_seconds: float = 60.0  # longer is refused
    max_side: int = 1280  # px; larger frames are scaled down
    max_fps: float = 30.0  # faster video is thinned out


DEFAULT_LIMITS = VideoLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrames:
    """A video that is decoded while it is read; memory holds one frame."""

    fps: float
    frames: Iterator[NDArray[np.uint8]]  # each (H, W, 3) RGB, upright, all of one size


def iter_video(
    path: Path, limits: VideoLimits = DEFAULT_LIMITS, name: str | None = None
) -> VideoFrames:
    """Open a video to read it frame by frame.

    Variable frame rates become constant: frames are repeated or left out to keep time. Rotation
    and non-square pixels are undone.

    Raises:
        InputError: At once for what is no video or too long by its own account; while iterating
            for damage and for what turns out too long.
    """
    shown = shown_name(name or path.name)
    container = _open(path, shown)
    try:
        stream = _picture_stream(container, shown)
        _check(container, stream, limits, shown)
    except InputError:
        container.close()
        raise
    rate = min(stream.average_rate or _ONE_FRAME_RATE, Fraction(limits.max_fps))
    return VideoFrames(fps=float(rate), frames=_frames(container, stream, rate, limits, shown))


def read_video(path: Path, limits: VideoLimits = DEFAULT_LIMITS, name: str | None = None) -> Clip:
    """Read a whole video into memory; see `iter_video`, which also says what is refused."""
    video = iter_video(path, limits, name)
    return Clip(frames=np.stack(list(video.frames)), fps=video.fps)


def _open(path: Path, shown: str) -> InputContainer:
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{shown} is empty (0 bytes); choose another video.")
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        return av.open(path, "r", options=options)
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{shown} is not a video that we can read; {_USE_INSTEAD}.") from error


def _picture_stream(container: InputContainer, shown: str) -> VideoStream:
    for stream in container.streams.video:
        decodable = stream.codec_context is not None
        if decodable and not stream.disposition & Disposition.attached_pic:  # a song's cover
            return stream
    raise InputError(f"{shown} holds no moving pictures; {_USE_INSTEAD}.")


def _check(container: InputContainer, stream: VideoStream, limits: VideoLimits, shown: str) -> None:
    if stream.width * stream.height > MAX_SOURCE_MEGAPIXELS * 1_000_000:
        raise InputError(
            f"{shown} is {stream.width}x{stream.height} pixels, over {MAX_SOURCE_MEGAPIXELS} "
            "megapixels a frame; save a smaller copy."
        )
    if container.duration is not None:
        _check_length(container.duration / av.time_base, limits, shown)


def _check_length(seconds: float, limits: VideoLimits, shown: str) -> None:
    if seconds > limits.max_seconds + 0.5:  # sound often ends a little after the pictures
        raise InputError(
            f"{shown} is longer than {limits.max_seconds:g} seconds; cut out the part to look at."
        )


def _frames(
    container: InputContainer,
    stream: VideoStream,
    rate: Fraction,
    limits: VideoLimits,
    shown: str,
) -> Iterator[NDArray[np.uint8]]:
    """Frames at the constant `rate`: each time slot shows the frame that is due by then."""
    stream.thread_type = "AUTO"
    aspect = float(stream.sample_aspect_ratio or 1)
    next_slot = 0
    pixels: NDArray[np.uint8] | None = None
    with container:
        for seconds, frame in _decoded(container, stream, shown):
            _check_length(seconds, limits, shown)
            slot = int(seconds * rate + 0.25)  # a quarter forgives time stamps in whole ms
            while pixels is not None and next_slot < slot:
                yield pixels
                next_slot += 1
            if slot >= next_slot:
                pixels = _upright_rgb(frame, aspect, limits.max_side)
                yield pixels
                next_slot = slot + 1
    if pixels is None:
        raise InputError(f"{shown} holds no frame that can be decoded; {_USE_INSTEAD}.")


def _decoded(
    container: InputContainer, stream: VideoStream, shown: str
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames with their time since the first one, in seconds."""
    first: float | None = None
    spacing = float(1 / (stream.average_rate or _ONE_FRAME_RATE))
    seconds = -spacing
    try:
        for frame in container.decode(stream):
            if frame.time is None:
                seconds += spacing
            else:
                first = frame.time if first is None else first
                seconds = frame.time - first
            yield max(seconds, 0.0), frame
    except (FFmpegError, ValueError) as error:
        raise InputError(
            f"{shown} is damaged after {max(seconds, 0):.1f} seconds; save or upload it again."
        ) from error


def _upright_rgb(frame: av.VideoFrame, aspect: float, max_side: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, longest side at most `max_side`; `aspect` is the width of a stored pixel."""
    width, height = frame.width * aspect, float(frame.height)
    scale = min(1.0, max_side / max(width, height))
    rgb = frame.reformat(
        width=max(1, round(width * scale)), height=max(1, round(height * scale)), format="rgb24"
    )
    pixels = rgb.to_ndarray().astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90)))

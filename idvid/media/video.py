"""Video to files and to streamable segments, H.264 through PyAV; no system ffmpeg is needed.

Owns the encoder settings. Reading is `idvid.media.clip_reader`.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from idvid.types import Clip

# zerolatency and bf=0: every packet is shown in the order in which it is stored, so that segments
# of different encoders can be joined without touching a packet.
_X264 = {"crf": "18", "preset": "veryfast", "tune": "zerolatency", "bf": "0"}
_BT709 = 1  # the number of BT.709 in H.264's colour tables


class SegmentWriter:
    """Turns the windows of one clip into MPEG-TS segments that play one after the other.

    Each segment opens with an IDR frame and its time stamps go on where the last one ended, so a
    player can start anywhere and `concat` can join them. All windows must have the same size.
    """

    def __init__(self, fps: float) -> None:
        self._rate = _exact_rate(fps)
        self._next_frame = 0

    def write(self, frames: NDArray[np.uint8]) -> bytes:
        """Encode (T, H, W, 3) RGB, T >= 1, as one segment; an odd H or W grows by one pixel."""
        out = io.BytesIO()
        with av.open(out, "w", format="mpegts") as container:
            _encode(container, frames, self._rate, self._next_frame)
        self._next_frame += len(frames)
        return out.getvalue()


def segment_seconds(segment: bytes) -> float:
    """How long one segment plays, in seconds."""
    with _open_segment(segment) as container:
        stream = container.streams.video[0]
        packets = sum(packet.dts is not None for packet in container.demux(stream))
        rate = stream.codec_context.framerate  # the container's own guess doubles for one frame
    assert rate, "a segment of ours carries its frame rate"
    return float(packets / rate)


def concat(segments: Iterable[bytes], path: Path) -> None:
    """Join segments to one mp4 whose index comes first, without encoding anything again."""
    stream: VideoStream | None = None
    start = 0
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as target:
        for segment in segments:
            with _open_segment(segment) as source:
                source_stream = source.streams.video[0]
                for packet in source.demux(source_stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    if stream is None:
                        stream = target.add_stream_from_template(source_stream)
                        start = packet.dts
                    packet.dts -= start
                    packet.pts -= start
                    packet.stream = stream
                    target.mux(packet)
    assert stream is not None, "concat needs at least one segment"


def write_video(clip: Clip, path: Path) -> None:
    """Write a clip as an mp4 file whose index comes first."""
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        _encode(container, clip.frames, _exact_rate(clip.fps), first=0)


def _open_segment(segment: bytes) -> InputContainer:
    """Name the format: a segment of few bytes is too short for guessing."""
    return av.open(io.BytesIO(segment), "r", format="mpegts")


def _encode(
    container: OutputContainer, frames: NDArray[np.uint8], rate: Fraction, first: int
) -> None:
    """Encode frames (T, H, W, 3), the first of which is frame number `first` of the clip."""
    even = _even_size(frames)
    stream = container.add_stream("libx264", rate=rate, options=dict(_X264))
    stream.height, stream.width = even.shape[1:3]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / rate
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = ColorRange.MPEG
    for number, pixels in enumerate(even, start=first):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = picture.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = number, 1 / rate
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _even_size(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """4:2:0 video needs even sides: repeat the last row or column where one is missing."""
    height, width = frames.shape[1:3]
    if height % 2 == 0 and width % 2 == 0:
        return frames
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _exact_rate(fps: float) -> Fraction:
    """23.976 and its like are n/1001; a whole number stays whole."""
    return Fraction(fps).limit_denominator(1001)

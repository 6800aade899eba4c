"""Laws of segments and files: what goes in comes out, joined without a seam."""

import io

import av
import numpy as np
import pytest

from idvid.media.clip_reader import read_video
from idvid.media.video import SegmentWriter, concat, segment_seconds, write_video
from idvid.types import Clip


def moving_bar(frames, height=64, width=96, first=0):
    """A bar that moves four pixels a frame, so that every frame says which one it is."""
    pixels = np.empty((frames, height, width, 3), np.uint8)
    pixels[:] = (200, 60, 30)
    for number in range(frames):
        at = (first + number) * 4 % (width - 8)
        pixels[number, :, at : at + 8] = (20, 220, 40)
    return pixels


def bar_position(frame):
    """The left edge of the bar, in pixels."""
    green = np.flatnonzero(frame[:, :, 1].astype(int).mean(axis=0) > 140)
    return int(green[0])


def packets(data):
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return [p for p in container.demux(container.streams.video[0]) if p.dts is not None]


def test_segments_join_to_one_seamless_faststart_file(tmp_path):
    writer = SegmentWriter(fps=12)
    segments = [writer.write(moving_bar(n, first=f)) for f, n in ((0, 8), (8, 1), (9, 7))]
    concat(segments, tmp_path / "joined.mp4")
    data = (tmp_path / "joined.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    clip = read_video(tmp_path / "joined.mp4")
    assert clip.fps == 12
    assert clip.frames.shape == (16, 64, 96, 3)
    for number, frame in enumerate(clip.frames):
        assert abs(bar_position(frame) - number * 4) <= 1


def test_joining_copies_every_packet_and_encodes_nothing(tmp_path):
    writer = SegmentWriter(fps=12)
    segments = [writer.write(moving_bar(4, first=f)) for f in (0, 4)]
    concat(segments, tmp_path / "joined.mp4")
    with av.open(tmp_path / "joined.mp4") as container:
        joined = [p for p in container.demux(container.streams.video[0]) if p.dts is not None]
    stored = [bytes(p) for segment in segments for p in packets(segment)]
    assert len(joined) == len(stored) == 8
    # mp4 writes a length where MPEG-TS writes a start code: the picture's own bytes are the same
    for ours, theirs in zip(joined, stored, strict=True):
        picture = theirs[theirs.rindex(b"\x00\x00\x01") + 3 :]
        assert len(picture) > 10
        assert bytes(ours).endswith(picture)


def test_each_segment_opens_with_a_key_frame_and_time_goes_on():
    writer = SegmentWriter(fps=12)
    times = []
    for _ in range(3):
        segment = packets(writer.write(moving_bar(5)))
        assert segment[0].is_keyframe
        assert all(p.pts == p.dts for p in segment)  # no reordered frames
        times += [float(p.pts * p.time_base) for p in segment]
    assert np.allclose(np.diff(times), 1 / 12, atol=1e-4)


@pytest.mark.parametrize("fps", [8, 12, 24, 12.5, 30000 / 1001])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_a_segment_knows_its_length(fps, frames):
    segment = SegmentWriter(fps=fps).write(np.zeros((frames, 64, 96, 3), np.uint8))
    assert segment_seconds(segment) == pytest.approx(frames / fps, rel=1e-6)


@pytest.mark.parametrize(("height", "width"), [(65, 97), (64, 97), (65, 96), (2, 2)])
def test_odd_sizes_grow_by_one_pixel(tmp_path, height, width):
    write_video(
        Clip(frames=moving_bar(3, height, max(width, 9))[:, :, :width], fps=12), tmp_path / "v.mp4"
    )
    clip = read_video(tmp_path / "v.mp4")
    assert clip.frames.shape == (3, height + height % 2, width + width % 2, 3)


def test_colours_survive_within_the_coding_error(tmp_path):
    rng = np.random.default_rng(0)
    for colour in rng.integers(0, 256, (6, 3)):
        frames = np.broadcast_to(colour.astype(np.uint8), (2, 32, 32, 3))
        write_video(Clip(frames=frames, fps=12), tmp_path / "c.mp4")
        error = read_video(tmp_path / "c.mp4").frames.astype(int) - colour
        assert np.abs(error).max() <= 4


def test_segments_are_yuv420p_h264():
    with av.open(io.BytesIO(SegmentWriter(fps=12).write(moving_bar(3))), format="mpegts") as opened:
        context = opened.streams.video[0].codec_context
        frame = next(opened.decode(video=0))
    assert (context.name, frame.format.name, context.has_b_frames) == ("h264", "yuv420p", False)

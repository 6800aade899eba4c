"""Laws of untrusted video: any common file, upright and in time; the rest in one sentence."""

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from idvid.errors import InputError
from idvid.media.clip_reader import VideoLimits, iter_video, read_video
from idvid.media.video import write_video
from idvid.types import Clip


def card(height=48, width=80):
    pixels = np.full((height, width, 3), (220, 30, 30), np.uint8)
    pixels[: height // 2, : width // 2] = (30, 40, 210)
    return pixels


def write(path, codec="libx264", times=range(12), rate=12, **options):
    """Cards at the given time stamps, in units of 1/rate; `rotate` and `sar` as metadata."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = card().shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        if "rotate" in options:
            stream.set_display_rotation(options["rotate"])
        if "sar" in options:
            stream.codec_context.sample_aspect_ratio = options["sar"]
        for number, time in enumerate(times):
            pixels = card()
            pixels[24:, 40:] = 20 * (number % 12)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def is_blue(pixel):
    return int(pixel[2]) > int(pixel[0]) + 60


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "libx265"),
        ("a.mkv", "mpeg4"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mjpeg"),
        ("a.ts", "mpeg2video"),
    ],
)
def test_common_files_are_read_frame_for_frame(tmp_path, name, codec):
    rate = 25 if codec == "mpeg2video" else 12
    clip = read_video(write(tmp_path / name, codec, rate=rate))
    assert clip.fps == rate
    assert clip.frames.shape == (12, 48, 80, 3)
    assert clip.frames.dtype == np.uint8
    steps = np.diff(clip.frames[:, 26:46, 44:76].astype(float).mean(axis=(1, 2, 3)))
    assert np.all((steps > 12) & (steps < 28))


@pytest.mark.parametrize(("degrees", "blue_corner"), [(90, 2), (180, 3), (-90, 1)])
def test_rotation_is_undone(tmp_path, degrees, blue_corner):
    clip = read_video(write(tmp_path / "phone.mp4", times=range(2), rotate=degrees))
    assert clip.frames.shape[1:3] == ((48, 80) if degrees == 180 else (80, 48))
    frame = clip.frames[0]
    corners = [frame[y, x] for y in (4, -5) for x in (4, -5)]
    assert [is_blue(c) for c in corners].index(True) == blue_corner


def test_pixels_become_square(tmp_path):
    clip = read_video(write(tmp_path / "dvd.mp4", sar=Fraction(4, 3)))
    assert clip.frames.shape[1:3] == (48, 107)


def test_gaps_in_time_repeat_the_frame_that_is_still_on_screen(tmp_path):
    clip = read_video(write(tmp_path / "gap.mkv", times=[0, 1, 2, 3, 7, 8, 9, 10, 11]))
    seconds = len(clip.frames) / clip.fps
    assert seconds == pytest.approx(1.0, abs=0.15)
    held = clip.frames[round(5 * clip.fps / 12)].astype(int)
    assert np.abs(held - clip.frames[round(3 * clip.fps / 12)]).mean() < 2


def test_fast_video_is_thinned_and_large_video_is_shrunk(tmp_path):
    path = write(tmp_path / "slow-motion.mp4", times=range(60), rate=60)
    clip = read_video(path, VideoLimits(max_fps=30, max_side=40))
    assert clip.fps == 30
    assert clip.frames.shape == (30, 24, 40, 3)


def test_reading_streams_one_frame_at_a_time(tmp_path):
    video = iter_video(write(tmp_path / "v.mp4", times=range(60)))
    first = next(video.frames)
    assert first.shape == (48, 80, 3)
    assert 1 + sum(1 for _ in video.frames) == 60


def test_what_was_written_is_read(tmp_path):
    frames = np.broadcast_to(card(), (7, 48, 80, 3))
    write_video(Clip(frames=frames, fps=24), tmp_path / "v.mp4")
    clip = read_video(tmp_path / "v.mp4")
    assert (clip.fps, len(clip.frames)) == (24, 7)
    assert np.abs(clip.frames.astype(int) - frames).mean() < 3


def only_sound(path):
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def playlist(path):
    path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n")


def far_playlist(path):
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")


def file_list(path):
    path.write_text("ffconcat version 1.0\nfile /etc/hostname\n")


def picture(path):
    Image.fromarray(card()).save(path, format="JPEG")


def cut(path):
    write(path, times=range(40))
    path.write_bytes(path.read_bytes()[:900])


REFUSED = {
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (lambda path: path.write_text("no video at all\n" * 99), "not a video"),
    "noise": (lambda path: path.write_bytes(np.random.default_rng(0).bytes(9999)), "not a video"),
    "picture": (picture, "not a video"),
    "sound": (only_sound, "no moving pictures"),
    "cut": (cut, "not a video"),
    "folder": (lambda path: path.mkdir(), "not a video"),
    "missing": (Path, "not a video"),
    "playlist": (playlist, "not a video"),
    "far playlist": (far_playlist, "not a video"),
    "file list": (file_list, "not a video"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path, case):
    make, reason = REFUSED[case]
    make(tmp_path / "my clip.mp4")
    with pytest.raises(InputError) as caught:
        read_video(tmp_path / "my clip.mp4")
    message = str(caught.value)
    assert message.startswith("my clip.mp4 ")
    assert reason in message
    assert "/" not in message
    assert message.endswith(".")


def test_too_long_is_refused_before_anything_is_decoded(tmp_path):
    path = write(tmp_path / "long.mp4", times=range(40))
    with pytest.raises(InputError, match="longer than 2 seconds"):
        iter_video(path, VideoLimits(max_seconds=2))


def test_too_long_without_saying_so_is_refused_while_reading(tmp_path):
    source = write(tmp_path / "long.ts", "mpeg2video", times=range(100), rate=25)
    video = iter_video(source, VideoLimits(max_seconds=3.6))
    with pytest.raises(InputError, match=r"longer than 2\.5 seconds"):
        list(iter_video(source, VideoLimits(max_seconds=2.5)).frames)
    assert len(list(video.frames)) == 100


def test_damage_in_the_middle_never_escapes_as_another_error(tmp_path):
    path = write(tmp_path / "v.mp4", times=range(60))
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(25):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 30):
            data[at] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        with contextlib.suppress(InputError):
            assert read_video(path).frames.ndim == 4

"""The end of a video, in another size and rate."""

import numpy as np
import pytest

from idvid.media.ending import LAST_FRAMES, read_ending
from idvid.media.video import write_video
from idvid.pipeline.vace_options import VaceOptions
from idvid.types import Clip

BACKEND = VaceOptions(width_px=96, height_px=32).backend()  # 16 frames a second


def write(path, frames, fps):
    write_video(Clip(frames=np.stack(frames), fps=fps), path)
    return path


def grey(level, height=64, width=96):
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("fps", "count"), [(8, 8), (16, 16), (30, 30)])
def test_a_second_stays_a_second(tmp_path, fps, count):
    levels = np.linspace(20, 220, count)
    frames = read_ending(write(tmp_path / "a.mp4", [grey(round(x)) for x in levels], fps), BACKEND)
    assert frames.shape == (16, 32, 96, 3)
    means = frames.mean((1, 2, 3))
    assert np.all(np.diff(means) > -3)
    assert means[-1] == pytest.approx(220, abs=6)


def test_only_the_last_frames_of_a_long_video_are_kept(tmp_path):
    frames = [grey(30)] * 160 + [grey(200)]
    ending = read_ending(write(tmp_path / "a.mp4", frames, 16), BACKEND)
    assert len(ending) == LAST_FRAMES
    assert ending[-1].mean() > 150 > 100 > ending[0].mean()


def test_what_sticks_out_is_cut_off_equally(tmp_path):
    frame = grey(120)
    frame[:16], frame[-16:] = 10, 240  # a third of the height is shown: the middle
    ending = read_ending(write(tmp_path / "a.mp4", [frame] * 4, 16), BACKEND)
    assert np.abs(ending.astype(int) - 120).max() < 25

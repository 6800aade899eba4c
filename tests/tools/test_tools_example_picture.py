"""The README's picture: photos, frames and curves of one run, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from idvid.media.image import write_png
from idvid.media.video import write_video
from idvid.types import Clip
from tools.example_picture import HEIGHT_PX, picture

SCENE = Path(__file__).parents[2] / "examples" / "scenes" / "two_friends.json"


def test_photos_and_frames_stand_above_the_curves(tmp_path):
    frames = np.zeros((4, 128, 224, 3), np.uint8)
    frames[1, ..., 0] = 200  # a third of the way
    frames[3, ..., 2] = 200  # the last one
    write_video(Clip(frames=frames, fps=12.0), tmp_path / "video.mp4")
    write_png(np.full((50, 100, 3), 90, np.uint8), tmp_path / "drift.png")
    made = picture(SCENE, tmp_path)
    width = 2 * HEIGHT_PX + 2 * 448
    assert made.shape == (HEIGHT_PX + width // 2, width, 3)
    red, blue = made[128, 2 * HEIGHT_PX + 224].astype(int), made[128, width - 224].astype(int)
    assert red[0] > 150 > 60 > red[2]
    assert blue[2] > 150 > 60 > blue[0]
    assert made[:HEIGHT_PX, : 2 * HEIGHT_PX].std() > 20  # people
    assert np.abs(made[HEIGHT_PX + 5 :].astype(int) - 90).max() <= 3

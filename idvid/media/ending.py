"""The end of a video as another video's size and rate, to go on from."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from idvid.media.clip_reader import iter_video

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from idvid.types import Backend

LAST_FRAMES = 81  # kept; memory holds no more, however long the video is


def read_ending(file: Path, backend: Backend) -> NDArray[np.uint8]:
    """The last frames of a video, (T, H, W, 3) RGB, T at most `LAST_FRAMES`.

    Frames are repeated or left out to keep time, and cover the backend's picture: what sticks out
    is cut off, equally on both sides.

    Raises:
        InputError: The file is no video that we can read, or too long.
    """
    video = iter_video(file)
    last: deque[NDArray[np.uint8]] = deque(maxlen=LAST_FRAMES)
    made = 0
    for number, frame in enumerate(video.frames, start=1):
        due = round(number / video.fps * backend.fps)
        if due > made:
            last.extend([_covering(frame, backend)] * min(due - made, LAST_FRAMES))
            made = due
    return np.stack(last)


def _covering(frame: NDArray[np.uint8], backend: Backend) -> NDArray[np.uint8]:
    size = (backend.width_px, backend.height_px)
    return np.asarray(ImageOps.fit(Image.fromarray(frame), size, Image.Resampling.LANCZOS))

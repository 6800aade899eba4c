"""Draw the README's picture: photos of a scene's people, two frames of its video, and the drift curves.

    python -m idvid generate SCENE.json --out RUN
    python -m tools.example_picture SCENE.json RUN docs/two_friends.webp

The README's scene is `examples/scenes/two_friends.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from idvid.media.clip_reader import read_video
from idvid.media.image import read_image, write_webp
from idvid.scene_file import read_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT_PX = 256  # of photos and frames
_SHOWN = (1 / 3, 1.0)  # of the clip
_FILTER = Image.Resampling.LANCZOS


def main() -> None:
    """Draw it from a run that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("run", type=Path, help="what `generate` wrote")
    parser.add_argument("out", type=Path, help="a WebP file")
    asked = parser.parse_args()
    write_webp(picture(asked.scene, asked.run), asked.out)


def picture(scene: Path, run: Path) -> NDArray[np.uint8]:
    """Photos and frames side by side, and the curves below, as wide: (H, W, 3)."""
    photos = [character.photos[0] for character in read_scene(scene).characters]
    frames = read_video(run / "video.mp4").frames
    picked = [frames[round(share * (len(frames) - 1))] for share in _SHOWN]
    above = np.concatenate([_scaled(each) for each in (*photos, *picked)], axis=1)
    curves = read_image(run / "drift.png", "drift.png")
    height = round(curves.shape[0] * above.shape[1] / curves.shape[1])
    below = np.asarray(Image.fromarray(curves).resize((above.shape[1], height), _FILTER))
    return np.concatenate([above, below])


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width = round(image.shape[1] * HEIGHT_PX / image.shape[0])
    return np.asarray(Image.fromarray(image).resize((width, HEIGHT_PX), _FILTER))


if __name__ == "__main__":
    main()

"""A pipeline without a model for tests where the content of the pictures does not matter.

Its frames are the scene's own (rendered) photos side by side, so the real face detector and the
real drift meter have true faces to find. `python rendered_people.py PORT` serves the real page
on it.
"""

import sys
import time
from typing import ClassVar

import numpy as np
from PIL import Image

from idvid.pipeline.backend import MINI
from idvid.pipeline.loader import Loader
from idvid.types import Scene, StepDone, WindowDone

FPS, WINDOW, HEIGHT, WIDTH = 12, 6, 128, 224


class RenderedPeopleEngine:
    """Streams like the bundled pipeline: steps, then a window of frames, until the clip is full."""

    backend = MINI
    conditioner = None  # nothing is conditioned
    components: ClassVar[dict] = {}  # nothing that takes memory

    def __init__(self, step_s: float = 0.0) -> None:
        self.step_s = step_s
        self.opened, self.closed = 0, 0
        self.notice = None  # an event to begin with

    def stream(self, scene, references, settings, cancelled):  # noqa: ARG002
        self.opened += 1
        try:
            if self.notice is not None:
                yield self.notice
            yield from self._windows(scene, settings, cancelled)
        finally:
            self.closed += 1

    def unknown_words(self, scene) -> tuple[str, ...]:
        return tuple(word for word in ("zeppelin",) if word in scene.prompt)

    def _windows(self, scene, settings, cancelled):
        total = round(scene.seconds * FPS)
        starts = range(0, total, WINDOW)
        for number, first in enumerate(starts):
            for step in range(settings.num_steps):
                if cancelled():
                    return
                time.sleep(self.step_s)
                done = number * settings.num_steps + step + 1
                yield StepDone(done=done, total=len(starts) * settings.num_steps)
            frames = [picture(scene, t) for t in range(first, min(first + WINDOW, total))]
            yield WindowDone(
                first_frame=first, total_frames=total, fps=float(FPS), frames=np.stack(frames)
            )


def picture(scene: Scene, t: int) -> np.ndarray:
    """One frame, (128, 224, 3) RGB: everybody's first photo, swaying a little."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), (70, 90, 110))
    share = WIDTH // len(scene.characters)
    side = min(share, HEIGHT)
    for i, character in enumerate(scene.characters):
        photo = Image.fromarray(character.photos[0]).resize((side, side))
        left = i * share + (share - side) // 2 + round(2 * np.sin(t / 6 + i))
        frame.paste(photo, (left, (HEIGHT - side) // 2))
    return np.asarray(frame)


def loader_of(make) -> Loader:
    """The real loader; whatever model is chosen, it gets what `make` makes."""
    return Loader(load=lambda *_: make())


def main() -> None:
    from idvid.ui.engine import Engine
    from idvid.ui.page import build, launch_options

    engine = Engine(loader_of(lambda: RenderedPeopleEngine(step_s=0.02)))
    demo = build(engine)
    demo.launch(server_port=int(sys.argv[1]), prevent_thread_lock=True, **launch_options())
    engine.start()
    demo.block_thread()


if __name__ == "__main__":
    main()

"""A model plays the scenes of a benchmark: photos chosen, clips generated, each judged at once."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from idvid.bench.photos import CHOICES
from idvid.bench.watch import watch
from idvid.config import GenerationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from idvid.bench.cast import CastMember
    from idvid.bench.photos import PhotoChoice
    from idvid.bench.scenes import BenchScene
    from idvid.bench.watch import Score, Watched
    from idvid.pipeline.generate import IdVidPipeline
    from idvid.types import Clip

    Maker = Callable[[BenchScene], Clip]
    Follows = Callable[[BenchScene, Watched], Sequence[float | None]]


Asking = Literal["caption", "plain", "described"]  # the prompt, and if people are described


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to make the scenes: what is given to the model, and how it is run."""

    photos: PhotoChoice = "three"
    asking: Asking = "caption"
    settings: GenerationSettings = field(default_factory=GenerationSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The scores of all people in all scenes, and the generator's time."""

    scores: tuple[Score, ...]
    seconds: float  # wall time of making the clips
    video_seconds: float  # how much video that was


class Theatre:
    """The cast and the scenes of one benchmark, and a clock.

    Args:
        cast: everybody whom a face may be mistaken for.
        scenes: what is played.
        follows: share of what the prompt asks of each person that a clip shows, if it is wanted.
    """

    def __init__(
        self,
        cast: Sequence[CastMember],
        scenes: Sequence[BenchScene],
        follows: Follows | None = None,
    ) -> None:
        self.scenes = tuple(scenes)
        self._follows = follows
        self._galleries: list[NDArray[np.float32]] = [member.gallery for member in cast]

    def play(
        self,
        label: str,
        make: Maker,
        look: Callable[[BenchScene, Watched], None] = lambda _scene, _seen: None,
    ) -> Played:
        """Make and judge every scene; `look` sees each clip before it is forgotten."""
        scores: list[Score] = []
        spent = length = 0.0
        for number, scene in enumerate(self.scenes):
            start = time.monotonic()
            clip = make(scene)
            seconds = time.monotonic() - start
            sys.stderr.write(
                f"{label}: scene {number + 1} of {len(self.scenes)}, {seconds:.1f} s\n"
            )
            seen = watch(scene, clip, self._galleries)
            look(scene, seen)
            scores += self._scores(scene, seen)
            spent, length = spent + seconds, length + scene.spec.duration_s
        return Played(scores=tuple(scores), seconds=spent, video_seconds=length)

    def _scores(self, scene: BenchScene, seen: Watched) -> tuple[Score, ...]:
        if self._follows is None:
            return seen.scores
        followed = self._follows(scene, seen)
        pairs = zip(seen.scores, followed, strict=True)
        return tuple(replace(score, following=share) for score, share in pairs)


def maker(pipeline: IdVidPipeline, variant: Variant) -> Maker:
    """A function that has the model make a scene."""
    choose = CHOICES[variant.photos]

    def make(scene: BenchScene) -> Clip:
        photos = tuple(choose(member.photos) for member in scene.members)
        prompt = scene.caption() if variant.asking == "caption" else scene.plain_caption()
        request = scene.request(photos, prompt, descriptions=variant.asking == "described")
        return pipeline(request, photos, variant.settings)

    return make


def real(scene: BenchScene) -> Clip:
    """The maker of real renders."""
    return scene.render()


def sheet_row(
    scene: BenchScene, clip: Clip, columns: int, num_frames: int = 5
) -> NDArray[np.uint8]:
    """A photo of each person, then a few frames: (H, W, 3), as wide as with `columns` people."""
    height = clip.frames.shape[1]
    photos = [member.photos[0].image[::2, ::2][:height, :height] for member in scene.members]
    blanks = [np.full_like(photos[0], 255)] * (columns - len(photos))
    picked = np.linspace(0, len(clip.frames) - 1, num_frames).round().astype(int)
    return np.concatenate([*photos, *blanks, *clip.frames[picked]], axis=1)

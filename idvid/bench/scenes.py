"""The scenes that a benchmark plays: who is in them, what is asked for, and their real renders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idvid.bench.settings import TEST, Seeds
from idvid.people import render_clip, sample_scene
from idvid.people.captions import caption, describe_person, plain_caption
from idvid.pipeline.windows import FPS
from idvid.types import Character, Clip, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from idvid.bench.cast import CastMember
    from idvid.bench.settings import Stage
    from idvid.faces.quality import ReferenceFace
    from idvid.people import SceneSpec

NAMES = ("ana", "ben", "cleo")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BenchScene:
    """A scene of the renderer with test people, from left to right."""

    number: int  # among the run's scenes
    seed: int  # of the generation
    spec: SceneSpec
    members: tuple[CastMember, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The people's names in prompts and reports."""
        return NAMES[: len(self.members)]

    def render(self) -> Clip:
        """The scene as the renderer shows it: the truth, and the ceiling of every figure."""
        frames = render_clip(self.spec, [member.person for member in self.members]).frames
        return Clip(frames=frames, fps=self.spec.fps)

    def held_out(self) -> dict[str, tuple[ReferenceFace, ...]]:
        """What the judge compares each person with."""
        return {name: m.held_out for name, m in zip(self.names, self.members, strict=True)}

    def request(
        self, photos: Sequence[Sequence[ReferenceFace]], prompt: str, descriptions: bool = False
    ) -> Scene:
        """The scene as a user would ask for it."""
        characters = tuple(
            Character(
                name=name,
                photos=tuple(photo.image for photo in own),
                description=describe_person(member.person.spec) if descriptions else "",
            )
            for name, member, own in zip(self.names, self.members, photos, strict=True)
        )
        seconds = self.spec.duration_s
        return Scene(prompt=prompt, characters=characters, seconds=seconds, seed=self.seed)

    def caption(self) -> str:
        """A caption of the training kind: looks are named now and then."""
        specs = [member.person.spec for member in self.members]
        return caption(self.spec, specs, self.names, self.spec.seed)

    def plain_caption(self) -> str:
        """Who is where and does what, before what and in which light; no word about looks."""
        return plain_caption(self.spec, self.names)


def make_scenes(
    cast: Sequence[CastMember], stage: Stage, seeds: Seeds = TEST
) -> tuple[BenchScene, ...]:
    """All scenes of a stage, each once per seed; two-person scenes come first."""
    frames = round(stage.seconds * FPS)
    casting = [(2, seeds.pairs, number) for number in range(stage.pairs)]
    casting += [(3, seeds.trios, number) for number in range(stage.trios)]
    scenes = tuple(
        BenchScene(
            number=index,
            seed=0,
            spec=sample_scene(first_seed + number, count, frames, FPS),
            members=tuple(cast[(count * number + k) % len(cast)] for k in range(count)),
        )
        for index, (count, first_seed, number) in enumerate(casting)
    )
    many = len(scenes)
    return tuple(
        replace(scene, seed=seed * many + scene.number) for seed in stage.seeds for scene in scenes
    )

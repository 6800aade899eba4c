"""What a benchmark run may choose, as frozen values. Knows no model.

Everybody and everything in a benchmark comes from the test seeds, which nothing is trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from idvid.config import GenerationSettings
from idvid.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE_SEED = 950_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """First seeds of people, photos and scenes."""

    people: int
    photos: int
    pairs: int
    trios: int


TEST = Seeds(people=PEOPLE_SEED, photos=960_000, pairs=955_000, trios=956_000)
VALIDATION = Seeds(people=900_000, photos=910_000, pairs=905_000, trios=906_000)
MAX_CAST, MAX_SCENES = 100, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Who stands where how long: the scenes that a benchmark plays."""

    people: int = 40  # in the cast; scenes take them in turn
    pairs: int = 20  # scenes with two people
    trios: int = 10  # scenes with three people
    seconds: float = 10.0  # of each scene
    seeds: tuple[int, ...] = (0,)  # every scene is generated once per seed

    def check(self) -> Stage:
        """The same stage, or a refusal.

        Raises:
            InputError: too few people for a scene, or too many people, scenes or seconds.
        """
        needed = 3 if self.trios else 2
        if not needed <= self.people <= MAX_CAST:
            raise InputError(
                f"{self.people} people were asked for and these scenes need {needed} to {MAX_CAST}; "
                "change --people or --trios."
            )
        if not 1 <= self.pairs + self.trios <= MAX_SCENES:
            raise InputError(
                f"{self.pairs} scenes of two and {self.trios} of three people were asked for; "
                f"choose 1 to {MAX_SCENES} together with --pairs and --trios."
            )
        if not 1 <= self.seconds <= 30:
            raise InputError(
                f"--seconds is {self.seconds:g}; a scene takes 1 to 30 seconds, choose one of those."
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A model, and how it is run."""

    name: str  # in tables
    model: str | None = None  # folder or Hub name; None is the bundled model
    settings: GenerationSettings = field(default_factory=GenerationSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """One call of the command."""

    stage: Stage
    contender: Contender
    against: Contender | None  # compared with the contender, person by person
    out: Path
    only: tuple[str, ...] = ()  # names of the claims to test; none: all of them

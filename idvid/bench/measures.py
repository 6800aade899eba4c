"""What claims are judged by: one measure of the scenes that an arm has made, and its gain over another's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.bench.figures import average, by_person, share
from idvid.bench.statistics import difference

if TYPE_CHECKING:
    from idvid.bench.play import Played
    from idvid.bench.statistics import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One column of the tables."""

    name: str
    field: str  # of `Score`
    people: int | None = None  # only scenes of so many people
    is_share: bool = False  # of the same people's real renders
    is_low_good: bool = False

    @property
    def unit(self) -> str:
        """What a gain in this measure is counted in: never a share."""
        return self.field if self.is_share else self.name

    def of(self, played: Played, truth: Played) -> Estimate | None:
        """Its value in the scenes that were played."""
        if self.is_share:
            return share(played.scores, truth.scores, self.field)
        return average(played.scores, self.field, self.people)

    def gain(self, better: Played, worse: Played) -> Estimate | None:
        """How much better the first is, in the measure's own unit, person by person."""
        pair = [by_person(played.scores, self.field, self.people) for played in (better, worse)]
        return difference(*(pair[::-1] if self.is_low_good else pair))


LIKENESS = Measure(name="likeness, share of the ceiling", field="id_sim", is_share=True)
NEAREST = Measure(name="nearest", field="nearest")
PRESENCE = Measure(name="presence", field="presence")
EXPRESSION = Measure(name="expression, share of real", field="expression", is_share=True)
FOLLOWING = Measure(name="prompt following", field="following")
DRIFT = Measure(name="`drift_15`", field="drift_15", is_low_good=True)
TEMPORAL = Measure(name="`temporal`", field="temporal", is_low_good=True)
BLEED = tuple(
    Measure(name=f"bleed, {word}", field="bleed", people=count, is_low_good=True)
    for count, word in ((2, "two"), (3, "three"))
)
SWAP = tuple(
    Measure(name=f"swap, {word}", field="swap_rate", people=count, is_low_good=True)
    for count, word in ((2, "two"), (3, "three"))
)
MEASURES = (LIKENESS, NEAREST, PRESENCE, EXPRESSION, FOLLOWING, DRIFT, TEMPORAL, *BLEED, *SWAP)

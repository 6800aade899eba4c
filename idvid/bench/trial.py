"""Claims on trial: every arm played once, every comparison judged, table, JSON and figure written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from idvid.bench import tables
from idvid.bench.cast import make_cast
from idvid.bench.claims import chosen, claims, sweet_spot, verdict
from idvid.bench.claims_figure import draw
from idvid.bench.measures import MEASURES
from idvid.bench.photos import MOST_PHOTOS
from idvid.bench.play import Played, Theatre, Variant, maker, real
from idvid.bench.prompt import follower
from idvid.bench.scenes import make_scenes
from idvid.pipeline.generate import load_pipeline

if TYPE_CHECKING:
    from idvid.bench.claims import Arm, Claim
    from idvid.bench.settings import BenchRun
    from idvid.bench.statistics import Estimate
    from idvid.pipeline.generate import IdVidPipeline

STRENGTH = "strength"  # the claim whose sweet spot is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison, judged."""

    says: str  # the claim
    compared: str  # which arm is claimed to beat which
    measure: str
    gain: Estimate | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A claim with what its arms scored."""

    claim: Claim
    played: dict[str, Played]  # by the arm's name

    def findings(self) -> list[Finding]:
        """Every comparison of the claim, judged."""
        found = []
        for each in self.claim.comparisons:
            gain = each.measure.gain(self.played[each.better], self.played[each.worse])
            found.append(
                Finding(
                    says=self.claim.says,
                    compared=f"{each.better} over {each.worse}",
                    measure=each.measure.unit,
                    gain=gain,
                    verdict=verdict(gain),
                )
            )
        return found


def run(call: BenchRun) -> str:
    """Test the claims, write claims.json, claims.md and claims.png; returns the tables.

    Raises:
        InputError: a claim is asked for that does not exist.
    """
    every = claims(call.contender.settings, has_rival=call.against is not None)
    asked = chosen(every, call.only)
    has_spot = STRENGTH in [claim.name for claim in asked]
    cast = make_cast(call.stage.people, MOST_PHOTOS)
    # Only the claim on strength asks how well the prompt is followed; probes take minutes to train.
    following = follower(call.stage, call.out) if has_spot else None
    theatre = Theatre(cast, make_scenes(cast, call.stage), following)
    truth = theatre.play("real renders", real)
    troupe = Troupe(theatre, call)
    trials = [
        Trial(claim=claim, played={arm.name: troupe.play(claim, arm) for arm in claim.arms})
        for claim in asked
    ]
    spots = [sweet_spot(t.played, truth) for t in trials if t.claim.name == STRENGTH]
    spot = spots[0] if spots else None
    text = _head(call) + _verdicts(trials)
    text += f"\nSweet spot of the strength: {spot}.\n" if spot else ""
    text += "".join(_arms(trial, truth) for trial in trials)
    (call.out / "claims.md").write_text(text, "utf-8")
    draw(trials, truth, spot, call.out / "claims.png")
    written = {trial.claim.name: trial.played for trial in trials}
    tables.write(
        call.out / "claims.json",
        {
            "run": call,
            "environment": tables.environment(),
            "sweet_spot": spot,
            "verdicts": [asdict(finding) for trial in trials for finding in trial.findings()],
            "scores": {"real renders": truth, **written},
        },
    )
    return text


class Troupe:
    """Plays arms, each way of making the scenes once however many claims use it."""

    def __init__(self, theatre: Theatre, call: BenchRun) -> None:
        self._theatre, self._call = theatre, call
        self._pipelines: dict[bool, IdVidPipeline] = {}
        self._known: dict[tuple[bool, Variant], Played] = {}

    def play(self, claim: Claim, arm: Arm) -> Played:
        """The scores of one arm."""
        key = (arm.is_rival, arm.variant)
        if key not in self._known:
            make = maker(self._pipeline(is_rival=arm.is_rival), arm.variant)
            self._known[key] = self._theatre.play(f"{claim.name}, {arm.name}", make)
        return self._known[key]

    def _pipeline(self, *, is_rival: bool) -> IdVidPipeline:
        if is_rival not in self._pipelines:
            contender = self._call.against if is_rival else self._call.contender
            assert contender is not None, "an arm of a rival needs one"
            self._pipelines[is_rival] = load_pipeline(contender.model)
        return self._pipelines[is_rival]


def _head(call: BenchRun) -> str:
    stage, settings = call.stage, call.contender.settings
    return (
        f"Claims on {call.contender.name}"
        + (f" (rival: {call.against.name})" if call.against else "")
        + f": {stage.people} unseen test people, {stage.pairs} scenes of two and {stage.trios} of "
        f"three, {stage.seconds:g} s each, generation seeds {list(stage.seeds)}, {settings.method}, "
        f"{settings.num_steps} steps; strength {settings.identity_strength:g} and three photos "
        "unless the claim is about them. The gain is in the measure's own unit, person by person, "
        "with its 95% interval over people.\n\n"
    )


def _verdicts(trials: list[Trial]) -> str:
    rows = [
        [found.says, found.compared, found.measure, tables.shown(found.gain), found.verdict]
        for trial in trials
        for found in trial.findings()
    ]
    return tables.markdown(("claim", "compared", "measure", "gain", "verdict"), rows)


def _arms(trial: Trial, truth: Played) -> str:
    """All measures of all arms of one claim; a column that nobody has is left out."""
    values = {
        measure: [measure.of(played, truth) for played in trial.played.values()]
        for measure in MEASURES
    }
    kept = {m: column for m, column in values.items() if any(e is not None for e in column)}
    rows = [
        [name, *(tables.shown(column[row]) for column in kept.values())]
        for row, name in enumerate(trial.played)
    ]
    header = (trial.claim.name, *(measure.name for measure in kept))
    return f"\n{trial.claim.says[0].upper()}{trial.claim.says[1:]}?\n\n" + tables.markdown(
        header, rows
    )

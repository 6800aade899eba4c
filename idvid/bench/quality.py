"""Does the model keep faces? Unseen test people in two- and three-person scenes, by the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from idvid.bench import groups, tables
from idvid.bench.cast import make_cast
from idvid.bench.figures import average, gain, share
from idvid.bench.photos import USUAL
from idvid.bench.play import Played, Theatre, Variant, maker, real, sheet_row
from idvid.bench.scenes import make_scenes
from idvid.media.image import write_webp
from idvid.pipeline.generate import load_pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idvid.bench.scenes import BenchScene
    from idvid.bench.settings import BenchRun, Contender
    from idvid.bench.statistics import Estimate
    from idvid.bench.watch import Watched

SHEET_SCENES = 16  # the first ones, unselected


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the quality table."""

    name: str
    at_least: float | None = None  # the bar; None: for information
    stretch: float | None = None
    is_low_good: bool = False

    def verdict(self, estimate: Estimate | None) -> str:
        """Whether the value (not its interval) reaches the bar."""
        if estimate is None or self.at_least is None or self.stretch is None:
            return tables.NOTHING
        sign = -1 if self.is_low_good else 1
        if sign * estimate.value >= sign * self.stretch:
            return "stretch"
        return "yes" if sign * estimate.value >= sign * self.at_least else "no"


PRESENCE = Row(name="presence", at_least=0.97, stretch=0.99)
NEAREST = Row(name="nearest to own person among the cast", at_least=0.90, stretch=0.97)
SHARE = Row(name="`id_sim` as a share of the ceiling", at_least=0.75, stretch=0.90)
DRIFT = Row(name="`drift_15`", at_least=0.03, stretch=0.01, is_low_good=True)
SWAP_TWO = Row(name="swap rate, two people", at_least=0.01, stretch=0.0, is_low_good=True)
SWAP_THREE = Row(name="swap rate, three people", at_least=0.03, stretch=0.0, is_low_good=True)
EXPRESSION = Row(name="expression range, share of real renders'", at_least=0.8, stretch=1.0)
EDGES = Row(name="strength of edges, share of real renders'")
OWN = Row(name="`id_sim`")
CEILING = Row(name="`id_sim` of real renders (ceiling)")
REAL_NEAREST = Row(name="nearest to own person, real renders")
REAL_PRESENCE = Row(name="presence, real renders")
RIVAL = Row(name="`id_sim` as a share of {rival}'s", at_least=0.95, stretch=1.0)
GAIN = Row(name="`id_sim` minus {rival}'s, same people")


def figures(played: Played, truth: Played) -> dict[Row, Estimate | None]:
    """The table's rows of one contender."""
    scores, real_scores = played.scores, truth.scores
    return {
        PRESENCE: average(scores, "presence"),
        NEAREST: average(scores, "nearest"),
        SHARE: share(scores, real_scores, "id_sim"),
        DRIFT: average(scores, "drift_15"),
        SWAP_TWO: average(scores, "swap_rate", 2),
        SWAP_THREE: average(scores, "swap_rate", 3),
        EXPRESSION: share(scores, real_scores, "expression"),
        EDGES: share(scores, real_scores, "edges"),
        OWN: average(scores, "id_sim"),
        CEILING: average(real_scores, "id_sim"),
        REAL_NEAREST: average(real_scores, "nearest"),
        REAL_PRESENCE: average(real_scores, "presence"),
    }


def run(call: BenchRun) -> str:
    """Measure, write quality.json, quality.md and a sheet of samples; returns the table."""
    cast = make_cast(call.stage.people, USUAL)
    theatre = Theatre(cast, make_scenes(cast, call.stage))
    truth = theatre.play("real renders", real)
    played = {c.name: contend(theatre, c, call) for c in _contenders(call)}
    results = {name: figures(each, truth) for name, each in played.items()}
    if call.against is not None:
        own, rival = played[call.contender.name], played[call.against.name]
        results[call.contender.name] |= {
            RIVAL: share(own.scores, rival.scores, "id_sim"),
            GAIN: gain(own.scores, rival.scores, "id_sim"),
        }
    table = table_of(call, results, played)
    table += "\nThe same by skin tone:\n\n" + groups.table(cast, truth, played)
    (call.out / "quality.md").write_text(table, "utf-8")
    tables.write(
        call.out / "quality.json",
        {
            "run": call,
            "environment": tables.environment(),
            "skin": groups.skin_thirds(cast),
            "figures": {n: {r.name: e for r, e in own.items()} for n, own in results.items()},
            "scores": {"real renders": truth, **played},
        },
    )
    return table


def contend(theatre: Theatre, contender: Contender, call: BenchRun) -> Played:
    """One contender plays all scenes; the first ones, unselected, become a sheet."""
    rows: list[NDArray[np.uint8]] = []
    columns = max(len(scene.members) for scene in theatre.scenes)

    def look(scene: BenchScene, seen: Watched) -> None:
        if len(rows) < SHEET_SCENES:
            rows.append(sheet_row(scene, seen.clip, columns))

    pipeline = load_pipeline(contender.model)
    variant = Variant(settings=contender.settings)
    played = theatre.play(contender.name, maker(pipeline, variant), look)
    write_webp(np.concatenate(rows), call.out / f"sheet_{contender.name}.webp")
    return played


def table_of(
    call: BenchRun, results: dict[str, dict[Row, Estimate | None]], played: dict[str, Played]
) -> str:
    """The Markdown table with its settings in a first line."""
    names = list(results)
    stage, rival = call.stage, call.against.name if call.against else ""
    settings = ", ".join(
        f"{c.name}: {c.settings.method}, strength {c.settings.identity_strength:g}, "
        f"{c.settings.num_steps} steps, guidance {c.settings.guidance_scale:g}"
        for c in _contenders(call)
    )
    head = (
        f"{stage.people} unseen test people, {stage.pairs} scenes of two and {stage.trios} of three, "
        f"{stage.seconds:g} s each, generation seeds {list(stage.seeds)}; {settings}; "
        "95% intervals over people.\n\n"
    )
    rows = [
        [
            row.name.format(rival=rival),
            *(tables.shown(results[name].get(row)) for name in names),
            tables.NOTHING if row.at_least is None else f"{row.at_least:g}",
            tables.NOTHING if row.stretch is None else f"{row.stretch:g}",
            row.verdict(results[names[0]].get(row)),
        ]
        for row in results[names[0]]
    ]
    pace = [f"{played[name].seconds / played[name].video_seconds:.1f}" for name in names]
    blank = [tables.NOTHING] * 3
    rows.append(["seconds of work per second of video", *pace, *blank])
    return head + tables.markdown(["", *names, "bar", "stretch", "reached"], rows)


def _contenders(call: BenchRun) -> tuple[Contender, ...]:
    return (call.contender,) if call.against is None else (call.contender, call.against)

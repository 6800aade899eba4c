"""Does the model do what the prompt says? Attributes read back from its frames by small probes.

The probes are fitted on real renders of training people, and say first how often they are right
about real renders of validation people: below that nothing can be told about a model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from idvid.bench import tables
from idvid.bench.attributes import ATTRIBUTES, LOOKS, POSITION
from idvid.bench.cast import make_cast
from idvid.bench.photos import USUAL
from idvid.bench.play import Theatre, Variant, maker, real
from idvid.bench.readers import answers, fit_probes, load_probes, save_probes
from idvid.bench.scenes import make_scenes
from idvid.bench.settings import VALIDATION, Stage
from idvid.bench.statistics import mean, per_person
from idvid.pipeline.generate import load_pipeline
from idvid.pipeline.windows import FPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from idvid.bench.play import Follows, Maker
    from idvid.bench.readers import Answer, Probes
    from idvid.bench.scenes import BenchScene
    from idvid.bench.settings import BenchRun
    from idvid.bench.statistics import Estimate
    from idvid.bench.watch import Watched

VALIDATION_SCENES = 20  # pairs, of twice as many people
NOT_LOOKS = tuple(name for name in ATTRIBUTES if name not in LOOKS)


def run(call: BenchRun) -> str:
    """Measure, write prompt.json and prompt.md; returns the table.

    People are described in the prompt, and their photos are given as well; a method that reads no
    photos shows what the words do alone.
    """
    probes = probes_for(call.stage, call.out)
    proof = {"probe on real renders, validation": _proof(probes, call.stage)}
    cast = make_cast(call.stage.people, USUAL)
    scenes = make_scenes(cast, call.stage)
    theatre = Theatre(cast, scenes)
    variant = Variant(asking="described", settings=call.contender.settings)
    makers: dict[str, Maker] = {"real renders of these scenes": real}
    makers[call.contender.name] = maker(load_pipeline(call.contender.model), variant)
    if call.against is not None:
        rival = replace(variant, settings=call.against.settings)
        makers[call.against.name] = maker(load_pipeline(call.against.model), rival)
    read = proof | {name: _read(theatre, probes, name, make) for name, make in makers.items()}
    table = _table(call, read)
    (call.out / "prompt.md").write_text(table, "utf-8")
    figures = {name: {a: _rate(found, a) for a in ATTRIBUTES} for name, found in read.items()}
    result = {"run": call, "environment": tables.environment(), "figures": figures}
    tables.write(call.out / "prompt.json", result | {"answers": read})
    return table


def probes_for(stage: Stage, out: Path) -> Probes:
    """The probes for clips of a stage's length: fitted once per folder and length."""
    path = out / f"probes_{_frames(stage)}.safetensors"
    if not path.exists():
        save_probes(fit_probes(_frames(stage)), path)
    return load_probes(path)


def follower(stage: Stage, out: Path) -> Follows:
    """What share of the prompt each person of a clip follows, leaving out their looks.

    Looks are in the photos too, so they say nothing of obedience to words.
    """
    probes = probes_for(stage, out)

    def follow(scene: BenchScene, seen: Watched) -> tuple[float | None, ...]:
        found = answers(probes, scene, seen)
        shares = per_person((a.person, a.is_right) for a in found if a.attribute in NOT_LOOKS)
        return tuple(shares.get(member.index) for member in scene.members)

    return follow


def chance(found: Iterable[Answer], attribute: str) -> float | None:
    """How often the best constant answer would be right; for a position, how often any guess."""
    asked = [answer.asked for answer in found if answer.attribute == attribute]
    if not asked:
        return None
    return max(asked.count(label) for label in set(asked)) / len(asked)


def _proof(probes: Probes, stage: Stage) -> list[Answer]:
    """What the probes say of real renders of validation people."""
    scenes = min(VALIDATION_SCENES, stage.pairs + stage.trios)
    held_out = Stage(people=2 * scenes, pairs=scenes, trios=0, seconds=stage.seconds)
    cast = make_cast(held_out.people, 0, VALIDATION)
    theatre = Theatre(cast, make_scenes(cast, held_out, VALIDATION))
    return _read(theatre, probes, "probes", real)


def _read(theatre: Theatre, probes: Probes, label: str, make: Maker) -> list[Answer]:
    found: list[Answer] = []

    def look(scene: BenchScene, seen: Watched) -> None:
        found.extend(answers(probes, scene, seen))

    theatre.play(label, make, look)
    return found


def _rate(found: Sequence[Answer], attribute: str) -> Estimate | None:
    return mean(per_person((a.person, a.is_right) for a in found if a.attribute == attribute))


def _table(call: BenchRun, read: dict[str, list[Answer]]) -> str:
    stage, settings = call.stage, call.contender.settings
    head = (
        f"Share of what the prompt asks that is seen; {stage.people} unseen test people, "
        f"{stage.pairs} scenes of two and {stage.trios} of three, {stage.seconds:g} s each; "
        f"{settings.method}, strength {settings.identity_strength:g}, {settings.num_steps} steps; "
        "people are described and their photos given; 95% intervals over people. Chance is the best "
        f"constant answer. A face that is not found is not read (n). '{POSITION}' needs no probe.\n\n"
    )
    asked = list(read.values())[-1]
    rows = [
        [
            attribute,
            tables.NOTHING if (luck := chance(asked, attribute)) is None else f"{luck:.2f}",
            *(tables.shown(_rate(found, attribute)) for found in read.values()),
        ]
        for attribute in ATTRIBUTES
    ]
    return head + tables.markdown(("attribute", "chance", *read), rows)


def _frames(stage: Stage) -> int:
    return round(stage.seconds * FPS)

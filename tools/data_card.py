"""Write docs/data.md: what the training data hold, counted over plans of clips, without rendering.

python -m tools.data_card [--clips 5000] [--run DIR]

With `--run` the card also says how many people the run in that folder has rendered so far.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from idvid.people import seeds
from idvid.people.captions import MIDDLE_AGED, OLD, SKIN_STEPS, TOKEN
from idvid.people.clothes_shape import ROLL_NECK, V_NECK, WIDE_NECK
from idvid.training import casting, shards
from idvid.training.records import Record, record_names, record_path
from idvid.training.seeding import max_clips

if TYPE_CHECKING:
    from collections.abc import Iterable

    from idvid.people import PersonSpec, SceneSpec
    from idvid.people.motion import ActorSpec

CARD = Path(__file__).parents[1] / "docs" / "data.md"
NECKLINES = {V_NECK: "v-neck", WIDE_NECK: "wide", ROLL_NECK: "roll neck"}
SKINS = ("palest", "light", "tan", "brown", "darkest")
TIMING = (16, 12.0)
Counts = dict[str, Counter[str]]


def count_clips(numbers: Iterable[int]) -> Counts:
    """Values of every attribute over training clips; attributes of people are counted per person."""
    counts: Counts = {}

    def count(facts: dict[str, str]) -> None:
        for name, value in facts.items():
            counts.setdefault(name, Counter())[value] += 1

    for number in numbers:
        plan = casting.plan_clip("train", number)
        scene = plan.scene(*TIMING)
        count(scene_facts(scene))
        words = [len(TOKEN.findall(text)) for text in casting.captions_of(plan, scene)]
        count({"words in a caption": f"{10 * (words[0] // 10)} to {10 * (words[0] // 10) + 9}"})
        rows = zip(plan.specs, plan.seen, plan.worn, scene.actors, strict=True)
        for place, (_, seen, worn, actor) in enumerate(rows):
            count(person_facts(seen) | actor_facts(actor))
            photos = casting.plan_photos(plan, place, 5)
            motley = any(photo.clothes is not None for photo in photos)
            changed = "differ, and from photo to photo" if motley else "differ from the photos"
            count({"clothes in the clip": "as in the photos" if worn is None else changed})
            for photo in photos:
                count({"photos": "varied" if photo.varied else "portrait"})
    return counts


def scene_facts(scene: SceneSpec) -> dict[str, str]:
    """Values of a clip's attributes."""
    camera, thing = scene.camera, scene.foreground
    walks = [a.walk.kind for a in scene.actors if a.walk is not None and a.walk.kind != "aside"]
    return {
        "people in a clip": str(len(scene.actors)),
        "place": scene.background.kind,
        "light": scene.light.kind,
        "camera": camera.move,
        "cut": "none" if camera.cut is None else f"to a {camera.cut.view} view",
        "shake": "still" if camera.shake is None else "shaky",
        "occlusion": _occlusion(walks, None if thing is None else thing.kind),
        "coming and going": walks[0] if walks and walks[0] in ("enter", "leave") else "all stay",
        "anything beside acting": _yes(
            bool(walks or thing or camera.cut or camera.shake or camera.move != "still")
        ),
    }


def _occlusion(walks: list[str], thing: str | None) -> str:
    if thing is not None:
        return f"behind a {thing}"
    return "passes " + walks[0] if walks and walks[0] in ("front", "behind") else "none"


def person_facts(spec: PersonSpec) -> dict[str, str]:
    """Values of a person's attributes."""
    age = "old" if spec.age > OLD else "middle-aged" if spec.age > MIDDLE_AGED else "young"
    return {
        "sex": "man" if spec.is_man else "woman",
        "age": age,
        "skin": SKINS[sum(spec.skin.melanin > edge for edge in SKIN_STEPS)],
        "hair": spec.hair.style,
        "hair colour": spec.hair.colour,
        "beard": spec.beard if spec.is_man else "none (women)",
        "glasses": spec.glasses.frame if spec.glasses is not None else "none",
        "clothes' colour": spec.clothes.colour,
        "clothes' pattern": spec.clothes.pattern,
        "neckline": NECKLINES.get(spec.clothes.neckline, "round"),
    }


def actor_facts(actor: ActorSpec) -> dict[str, str]:
    """Values of what somebody does."""
    return {
        "position": actor.place,
        "action": actor.action,
        "expression": actor.expression_start,
        "expression changes": _yes(actor.expression_start != actor.expression_end),
    }


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def used_people(folder: Path) -> tuple[int, int]:
    """Clips and people of a run's finished training shards."""
    records = [Record(record_path(folder, name)) for name in record_names(folder, "train")]
    present = [np.asarray(record.array("is_person")) for record in records]
    return sum(len(rows) for rows in present), sum(int(rows.sum()) for rows in present)


def card(counts: Counts, clips: int, used: tuple[int, int] | None) -> str:
    """The card's text."""
    people = sum(int(number) * n for number, n in counts["people in a clip"].items())
    lines = [
        "# Data card",
        "",
        f"Written by `python -m tools.data_card --clips {clips}`; counted over the plans of the first "
        f"{clips:,} training clips with {people:,} people, nobody twice. Nothing is typed.",
        "",
        "Everything is synthetic: heads from CC0 MakeHuman data, the rest procedural. No picture of a "
        "real person is in the data. People look like stylised adults; skin, age, sex and looks are "
        "drawn independently of what people do and of where they are.",
        "",
        "## People by seed",
        "",
        "| part | seeds | people | clips at most |",
        "|---|---|---|---|",
    ]
    starts = (0, seeds.VALIDATION_START, seeds.TEST_START, seeds.SEED_END)
    for name, start, end in zip(("train", "validation", "test"), starts, starts[1:], strict=False):
        most = "-" if name == "test" else f"{max_clips(name):,}"
        lines.append(f"| {name} | {start:,} to {end - 1:,} | {end - start:,} | {most} |")
    if used is not None:
        lines += ["", f"The run had rendered {used[0]:,} training clips with {used[1]:,} people."]
    lines += [
        "",
        f"Data version {shards.DATA_VERSION} (`data_version` in a shard's notes; shards without it "
        "are of version 1: at most three people, nothing beside acting). Photos per person: 5, and "
        "8 in two of every eight shards; training draws some of them (`VideoSettings.references` says how many at most).",
        "",
        f"The reenactor learns from series: {shards.SERIES_PICTURES} pictures of one person in one "
        "light and place, with mattes, poses and expressions drawn anew in each. The head matte learns from "
        f"cut-outs: {shards.CUTOUT_PHOTOS} photos of one person with the exact share of every pixel "
        "that shows them. The people of both are in no clip and not in the other.",
        "",
        "## Balance",
        "",
        "| attribute | share of each value, percent |",
        "|---|---|",
    ]
    lines += [f"| {name} | {_shares(values)} |" for name, values in counts.items()]
    return "\n".join(lines) + "\n"


def _shares(values: Counter[str]) -> str:
    total = sum(values.values())
    ordered = values.most_common()
    if all(name.split()[0].isdigit() for name in values):
        ordered = sorted(values.items(), key=lambda item: int(item[0].split()[0]))
    shares = (f"{name.replace('_', ' ')} {100 * n / total:.1f}" for name, n in ordered)
    return ", ".join(shares)


def main() -> None:
    """Count and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=5000, help="plans to count")
    parser.add_argument("--run", type=Path, metavar="DIR", help="a training run's folder")
    args = parser.parse_args()
    used = None if args.run is None else used_people(args.run / "shards")
    CARD.write_text(card(count_clips(range(args.clips)), args.clips, used), encoding="utf-8")
    print(f"wrote {CARD}")


if __name__ == "__main__":
    main()

"""The command line: `python -m idvid COMMAND`; `python -m idvid --help` lists the commands.

Owns the arguments and the exit codes: 0 done, 2 refused with one sentence, 130 stopped with
Ctrl-C. What the commands do is `idvid.commands`, imported when one runs, so `--help` is instant.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.arguments import add_extras, number, size, whole
from idvid.config import CACHES, DEFAULTS, MAX_SEED, METHODS, GenerationSettings
from idvid.errors import IdvidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from idvid.pipeline.extras import Extras


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except IdvidError as error:
        print(f"idvid: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("idvid: stopped.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m idvid",
        description="Video in which several people each keep their face, with the proof beside it.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_generate(commands.add_parser("generate", help="make a video from a scene file"))
    _add_measure(commands.add_parser("measure", help="measure identity drift in any video"))
    _add_check(commands.add_parser("check", help="check the reference photos of a scene file"))
    _add_people(commands.add_parser("people", help="draw synthetic people"))
    _add_plan(commands.add_parser("plan", help="say how a Hub model would fit on a GPU"))
    _add_train(commands.add_parser("train", help="train the bundled model"))
    _add_export(commands.add_parser("export-backbone", help="write the face backbone as ONNX"))
    _add_bench(commands.add_parser("bench", help="measure the bundled model"))
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_generate)
    parser.add_argument("scene", type=Path, metavar="SCENE.json")
    _add_out(parser)
    parser.add_argument(
        "--method",
        action="append",
        choices=METHODS,
        help=f"may be given several times, to compare; default {DEFAULTS.method}",
    )
    parser.add_argument("--seed", type=whole(0, MAX_SEED), help="instead of the scene's")
    parser.add_argument(
        "--strength",
        type=number(0, 1.5),
        default=DEFAULTS.identity_strength,
        help="identity strength, 0 (base model) to 1.5; default %(default)s",
    )
    parser.add_argument(
        "--steps",
        type=whole(1, 100),
        help="denoising steps per window, 1 to 100; default: what suits the model and --lora",
    )
    parser.add_argument(
        "--guidance",
        type=number(1, 10),
        help="guidance scale, 1 (none) to 10; default: what suits the model and --lora",
    )
    parser.add_argument("--full", action="store_true", help="the full model, never its fast one")
    parser.add_argument(
        "--model",
        default="default",
        help="bundled, vace-1.3b, vace-14b, auto, a folder, or owner/name on the Hub; default: "
        "IDVID_MODEL, else the bundled",
    )
    parser.add_argument("--size", type=size, help="of VACE's video; default 832x480")
    parser.add_argument("--cache", choices=CACHES, default="none", help="skip steps of VACE")
    parser.add_argument(
        "--compile", action="store_true", help="VACE's blocks, for long or many clips"
    )
    parser.add_argument("--extend", type=Path, metavar="VIDEO", help="go on from it, with VACE")
    add_extras(parser)
    _add_judge(parser)


def _add_measure(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_measure)
    parser.add_argument("video", type=Path, metavar="VIDEO")
    parser.add_argument(
        "--characters",
        type=Path,
        required=True,
        metavar="DIR",
        help="one folder of photos per character; the folder's name is the character's",
    )
    parser.add_argument(
        "--max-seconds",
        type=number(1, 3600),
        default=120.0,
        help="refuse longer videos; default %(default)s",
    )
    _add_judge(parser)
    _add_out(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_check)
    parser.add_argument("scene", type=Path, metavar="SCENE.json")


def _add_people(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_people)
    parser.add_argument("--seed", type=int, default=950_000, help="of the first person")
    parser.add_argument("--count", type=whole(1, 100), default=12, help="how many people")
    _add_out(parser)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_plan)
    parser.add_argument(
        "--model",
        required=True,
        help="owner/name on the Hub, vace-1.3b, vace-14b, t2v-14b, or a folder; no weights are fetched",
    )
    parser.add_argument(
        "--vram", type=number(1, 1000), help="free GiB of each GPU; default: those of this machine"
    )
    parser.add_argument("--gpus", type=whole(0, 16), default=1, help="GPUs with --vram; default 1")
    parser.add_argument(
        "--ram", type=number(1, 10_000), help="free GiB of RAM; default: 64 with --vram, else all"
    )
    parser.add_argument("--frames", type=whole(1, 1000), default=81, help="default %(default)s")
    parser.add_argument("--size", type=size, default=(832, 480), help="default 832x480")
    parser.add_argument("--references", type=whole(0, 16), default=2, help="default %(default)s")
    add_extras(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    from idvid.training.arguments import add_arguments  # imports no torch

    parser.set_defaults(command=_train)
    add_arguments(parser)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    from idvid.bench.command import add_arguments  # imports no torch

    parser.set_defaults(command=_bench)
    add_arguments(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_export)
    parser.add_argument("--model", help="a folder or owner/name on the Hub; default: the bundled")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")


def _add_judge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--judge",
        default="bundled",
        metavar="PACK",
        help="who measures: bundled (default), auraface (Apache-2.0), buffalo_l or antelopev2 "
        "(non-commercial), or another insightface pack: a folder or owner/name on the Hub",
    )


def _generate(args: argparse.Namespace) -> None:
    from idvid.commands import Generation, generate

    methods = dict.fromkeys(args.method or [DEFAULTS.method])
    settings = [GenerationSettings(method=m, identity_strength=args.strength) for m in methods]
    generate(
        Generation(
            scene_file=args.scene,
            settings=tuple(settings),
            num_steps=args.steps,
            guidance_scale=args.guidance,
            full=args.full,
            seed=args.seed,
            model=args.model,
            extras=replace(_extras(args, cache=args.cache), compiled=args.compile),
            size=args.size,
            extend=args.extend,
            judge=args.judge,
            out=args.out,
        )
    )


def _measure(args: argparse.Namespace) -> None:
    from idvid.commands import Measurement, measure

    measure(
        Measurement(
            video_file=args.video,
            characters=args.characters,
            max_seconds=args.max_seconds,
            judge=args.judge,
            out=args.out,
        )
    )


def _check(args: argparse.Namespace) -> None:
    from idvid.commands import check

    result = check(args.scene)
    for finding in result.findings:
        print(f"{finding.severity}: {finding.message}")
    result.raise_if_refused()
    if not result.findings:
        print("All reference photos are fit to use.")


def _people(args: argparse.Namespace) -> None:
    from idvid.people.sheet import write_people

    write_people(args.seed, args.count, args.out)


def _plan(args: argparse.Namespace) -> None:
    from idvid.pipeline.plan_text import PlanQuestion, answer

    width, height = args.size
    question = PlanQuestion(
        model=args.model,
        extras=_extras(args),
        num_frames=args.frames,
        height=height,
        width=width,
        num_references=args.references,
        vram_gib=args.vram,
        num_gpus=args.gpus,
        ram_gib=args.ram,
    )
    print(answer(question))


def _extras(args: argparse.Namespace, cache: str = "none") -> Extras:
    from idvid.pipeline.extras import named_extras

    return named_extras(
        lora=args.lora or "",
        lora_kind=args.lora_kind,
        adapter=args.adapter or "",
        cache=cache,
        quantise=args.quantise,
    )


def _train(args: argparse.Namespace) -> None:
    from idvid.training.command import run

    run(args)


def _export(args: argparse.Namespace) -> None:
    from idvid.commands import export

    export(args.model, args.out)


def _bench(args: argparse.Namespace) -> None:
    from idvid.bench.command import run

    run(args)

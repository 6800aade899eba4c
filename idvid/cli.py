"""The command line: `python -m idvid generate | measure | check | people | train`.

Owns the arguments and the exit codes: 0 done, 2 refused with one sentence, 130 stopped with
Ctrl-C. What the commands do is `idvid.commands`, imported when one runs, so `--help` is instant.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.config import DEFAULTS, MAX_SEED, METHODS, GenerationSettings
from idvid.errors import IdvidError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
    _add_train(commands.add_parser("train", help="train the bundled model"))
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
    parser.add_argument("--seed", type=_whole(0, MAX_SEED), help="instead of the scene's")
    parser.add_argument(
        "--strength",
        type=_number(0, 1.5),
        default=DEFAULTS.identity_strength,
        help="identity strength, 0 (base model) to 1.5; default %(default)s",
    )
    parser.add_argument(
        "--steps",
        type=_whole(1, 100),
        default=DEFAULTS.num_steps,
        help="denoising steps per window, 1 to 100; default %(default)s",
    )
    parser.add_argument(
        "--guidance",
        type=_number(1, 10),
        default=DEFAULTS.guidance_scale,
        help="guidance scale, 1 (none) to 10; default %(default)s",
    )
    parser.add_argument("--model", help="a folder or owner/name on the Hub; default: the bundled")


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
        type=_number(1, 3600),
        default=120.0,
        help="refuse longer videos; default %(default)s",
    )
    _add_out(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_check)
    parser.add_argument("scene", type=Path, metavar="SCENE.json")


def _add_people(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_people)
    parser.add_argument("--seed", type=int, default=950_000, help="of the first person")
    parser.add_argument("--count", type=_whole(1, 100), default=12, help="how many people")
    _add_out(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    from idvid.training.command import add_arguments  # imports no torch

    parser.set_defaults(command=_train)
    add_arguments(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")


def _whole(low: int, high: int) -> Callable[[str], int]:
    """An argument type: a whole number from low to high."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}")

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    """An argument type: a number from low to high; NaN is no number."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if low <= value <= high:
            return value
        raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}")

    return parse


def _generate(args: argparse.Namespace) -> None:
    from idvid.commands import Generation, generate

    settings = [
        GenerationSettings(
            method=method,
            identity_strength=args.strength,
            num_steps=args.steps,
            guidance_scale=args.guidance,
        )
        for method in dict.fromkeys(args.method or [DEFAULTS.method])
    ]
    generate(
        Generation(
            scene_file=args.scene,
            settings=tuple(settings),
            seed=args.seed,
            model=args.model,
            out=args.out,
        )
    )


def _measure(args: argparse.Namespace) -> None:
    from idvid.commands import measure

    measure(args.video, args.characters, args.out, args.max_seconds)


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


def _train(args: argparse.Namespace) -> None:
    from idvid.training.command import run

    run(args)

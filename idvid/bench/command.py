"""`python -m idvid bench WHAT`: the arguments, and which benchmark they start.

Importing this module imports no torch, so that the command line stays instant.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.bench.settings import BenchRun, Contender, Stage
from idvid.config import FEW_STEPS, FULL_STEPS, METHODS, GenerationSettings
from idvid.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

BENCHMARKS = ("quality", "claims", "prompt", "speed")
DEFAULTS = GenerationSettings()
# What each benchmark plays unless told otherwise.
STAGES = {
    "quality": Stage(),
    "claims": Stage(people=16, pairs=8, trios=4, seconds=3.0),
    "prompt": Stage(pairs=20, trios=0, seconds=3.0),
    "speed": Stage(people=2, pairs=1, trios=0, seconds=4.0),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m idvid bench`."""
    parser.add_argument("what", choices=(*BENCHMARKS, "all"), help="what to measure")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--only", nargs="+", default=(), metavar="CLAIM", help="claims to test")
    parser.add_argument("--people", type=int, help="test people in the cast")
    parser.add_argument("--pairs", type=int, help="scenes of two people")
    parser.add_argument("--trios", type=int, help="scenes of three people")
    parser.add_argument("--seconds", type=float, help="of each scene")
    parser.add_argument("--seeds", type=int, nargs="+", help="generation seeds; default 0")
    parser.add_argument("--model", metavar="A", help="folder or Hub name; default: the bundled")
    parser.add_argument("--against", metavar="B", help="another model, compared person by person")
    parser.add_argument("--method", choices=METHODS, default=DEFAULTS.method)
    usual = (
        f"default {FEW_STEPS}, which is the fast model's, or {FULL_STEPS} with --full or guidance"
    )
    parser.add_argument("--steps", type=int, help=usual)
    parser.add_argument("--guidance", type=float, default=DEFAULTS.guidance_scale)
    parser.add_argument("--strength", type=float, default=DEFAULTS.identity_strength)
    parser.add_argument("--full", action="store_true", help="never the fast model of A")
    parser.add_argument("--against-method", choices=METHODS, help="of B; default: as A")
    parser.add_argument("--against-steps", type=int, help="steps of B; default: --steps")
    parser.add_argument("--against-guidance", type=float, help="guidance of B; default: as A")
    parser.add_argument("--against-full", action="store_true", help="never the fast model of B")


def run(args: argparse.Namespace) -> None:
    """Run the benchmarks that were asked for; their tables go to standard output.

    Raises:
        InputError: a number makes no sense, or the folder cannot be made.
        ModelError: a model is missing or damaged.
    """
    asked = BENCHMARKS if args.what == "all" else (args.what,)
    calls = [(name, call_of(name, args)) for name in asked]
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("The folder cannot be made; give --out a folder of yours.") from error
    for name, call in calls:
        print(_runner(name)(call))


def call_of(name: str, args: argparse.Namespace) -> BenchRun:
    """The benchmark's own stage and settings with what the arguments change.

    Raises:
        InputError: a number makes no sense.
    """
    settings = GenerationSettings(
        method=args.method,
        num_steps=_steps(args.steps, is_full=args.full or args.guidance > 1),
        guidance_scale=args.guidance,
        identity_strength=args.strength,
        few_steps=not args.full,
    )
    against = None
    if args.against is not None:
        guidance = args.against_guidance or settings.guidance_scale
        is_full = args.against_full or guidance > 1
        rival = replace(
            settings,
            method=args.against_method or settings.method,
            num_steps=args.against_steps or _steps(args.steps, is_full=is_full),
            guidance_scale=guidance,
            few_steps=not args.against_full,
        )
        against = Contender(name=_name(args.against, "B"), model=args.against, settings=rival)
    for each in (settings, *([against.settings] if against else [])):
        _check(each)
    own = Contender(name=_name(args.model, "A"), model=args.model, settings=settings)
    if against is not None and against.name == own.name:
        own, against = replace(own, name="A"), replace(against, name="B")
    stage = _stage(STAGES[name], args)
    only = tuple(args.only)
    return BenchRun(stage=stage, contender=own, against=against, out=args.out, only=only)


def _steps(asked: int | None, *, is_full: bool) -> int:
    if asked is not None:
        return asked
    return FULL_STEPS if is_full else FEW_STEPS


def _stage(usual: Stage, args: argparse.Namespace) -> Stage:
    asked = {name: getattr(args, name) for name in ("people", "pairs", "trios", "seconds")}
    changes = {name: value for name, value in asked.items() if value is not None}
    if args.seeds:
        changes["seeds"] = tuple(args.seeds)
    return replace(usual, **changes).check()


def _check(settings: GenerationSettings) -> None:
    limits = (
        ("--steps", settings.num_steps, 1, 100),
        ("--guidance", settings.guidance_scale, 1, 10),
        ("--strength", settings.identity_strength, 0, 1.5),
    )
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise InputError(f"{name} is {value:g}; give a number from {low:g} to {high:g}.")


def _name(model: str | None, letter: str) -> str:
    """A model's short name: the last part of its folder or Hub name."""
    if model is None:
        return "idvid-mini"
    return "".join(c for c in Path(model).name if c.isalnum() or c in "-_.") or letter


def _runner(name: str) -> Callable[[BenchRun], str]:
    if name == "quality":
        from idvid.bench.quality import run as runner
    elif name == "claims":
        from idvid.bench.trial import run as runner
    elif name == "prompt":
        from idvid.bench.prompt import run as runner
    else:
        from idvid.bench.speed import run as runner
    return runner

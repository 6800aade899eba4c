"""The arguments of `python -m idvid train`, and what they change in a preset. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import InputError
from idvid.training import adapter_command
from idvid.training.presets import PRESETS

if TYPE_CHECKING:
    import argparse

    from idvid.training.settings import OptimiserSettings, TrainingSettings

STAGES = (
    "autoencoder",
    "backbone",
    "reenactor",
    "matte",
    "video",
    "distil",
    "decoder",
    "planner",
)
WITH_IDENTITY_LOSS = ("video", "all", "adapter")
CHOICES = ("data", *STAGES, "all", "adapter")
_ENDLESS = 10_000_000  # steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m idvid train`."""
    parser.add_argument("stage", choices=CHOICES, help="what to train; data only renders")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="cpu")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--minutes", type=float, help="wall limit of each stage")
    parser.add_argument(
        "--steps", type=int, help="of each stage; default: the preset's, and 5000 for the adapter"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and draws; default 0")
    parser.add_argument(
        "--shards", type=int, help="how many training shards to render for the stage"
    )
    parser.add_argument("--workers", type=int, help="rendering processes")
    parser.add_argument("--threads", type=int, help="threads of the training process")
    parser.add_argument(
        "--identity-weight",
        type=float,
        metavar="W",
        help="video, adapter: of the identity-preservation loss, 0 for none; default: the preset's",
    )
    parser.add_argument(
        "--temporal-weight",
        type=float,
        metavar="W",
        help="video, adapter: of that loss's second term, 0 for none; default: the preset's",
    )
    adapter_command.add_arguments(parser)


def settings_of(args: argparse.Namespace) -> TrainingSettings:
    """The preset with what the arguments change.

    Raises:
        InputError: a number makes no sense.
    """
    for name in ("minutes", "steps", "shards", "threads"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name} is {value}; give a number above 0.")
    weights = _loss_weights(args)
    preset = PRESETS[args.preset]
    counted = {
        "backbone": "num_face_shards",
        "reenactor": "num_series_shards",
        "matte": "num_cutout_shards",
        "planner": "num_trace_shards",
    }
    changes = {counted.get(args.stage, "num_shards"): args.shards, "workers": args.workers}
    data = replace(preset.data, **{k: v for k, v in changes.items() if v is not None})
    settings = replace(preset, data=data, seed=args.seed)
    settings = replace(settings, threads=args.threads or preset.threads)
    settings = replace(settings, video=replace(settings.video, **weights))
    if args.steps is None and args.minutes is None:
        return settings
    return _limited(settings, args.steps or _ENDLESS, args.minutes)


def _loss_weights(args: argparse.Namespace) -> dict[str, float]:
    """The weights of the identity-preservation loss that were asked for."""
    names = ("identity_weight", "temporal_weight")
    weights = {name: value for name in names if (value := getattr(args, name)) is not None}
    for name, value in weights.items():
        flag = f"--{name.replace('_', '-')}"
        if args.stage not in WITH_IDENTITY_LOSS:
            stages = ", ".join(WITH_IDENTITY_LOSS)
            raise InputError(
                f"The stage '{args.stage}' has no identity-preservation loss; leave {flag} out, or "
                f"take one of {stages}."
            )
        if not 0 <= value < math.inf:
            raise InputError(f"{flag} is {value}; give 0 or more.")
    return weights


def _limited(settings: TrainingSettings, num_steps: int, minutes: float | None) -> TrainingSettings:
    """Every stage with both limits: the first one ends it. At most a tenth of the steps warms up."""

    def limit(optimiser: OptimiserSettings) -> OptimiserSettings:
        warmup = min(optimiser.warmup_steps, max(num_steps // 10, 1))
        return replace(optimiser, num_steps=num_steps, minutes=minutes, warmup_steps=warmup)

    stages = {name: getattr(settings, name) for name in STAGES}
    limited = {n: replace(stage, optimiser=limit(stage.optimiser)) for n, stage in stages.items()}
    return replace(settings, **limited)

"""`python -m idvid train STAGE`: what the stages need, in which order, from which folder.

A run lives in one folder: `shards/`, one folder per stage with checkpoints, log and sheets, and
`model/`, a model folder that grows part by part. Importing this module imports no torch, so that
the command line stays instant.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import InputError, ModelError
from idvid.training import adapter_command
from idvid.training.settings import PRESETS, OptimiserSettings, TrainingSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from idvid.training.feeder import Feeder
    from idvid.training.stage import Stage
    from idvid.training.video_stage import VideoSources

STAGES = ("autoencoder", "backbone", "video", "distil", "planner")
CHOICES = ("data", *STAGES, "all", "adapter")
# What each stage reads of all that can be rendered.
_KINDS = {
    "autoencoder": ("clips",),
    "backbone": ("faces",),
    "video": ("clips",),
    "distil": ("clips",),
    "planner": ("traces",),
}
_ENDLESS = 10_000_000  # steps
_SHIPPED = Path(__file__).parents[1] / "weights" / "mini"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """One call of the command."""

    settings: TrainingSettings
    folder: Path
    device: str
    resume: bool

    @property
    def shards(self) -> Path:
        """Where shards and what is made of them lie."""
        return self.folder / "shards"

    @property
    def model(self) -> Path:
        """The model folder that the stages fill."""
        return self.folder / "model"

    @property
    def starts(self) -> tuple[Path, ...]:
        """Model folders to start from, best first."""
        return (self.model, _SHIPPED)


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
        help="video: of the identity-preservation loss, 0 for none; default: the preset's",
    )
    parser.add_argument(
        "--temporal-weight",
        type=float,
        metavar="W",
        help="video: of that loss's second term, 0 for none; default: the preset's",
    )
    adapter_command.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        InputError: a number makes no sense.
        ModelError: a stage needs a part that is not trained yet.
    """
    settings = settings_of(args)
    if args.stage == "data" and args.clips is not None:
        adapter_command.look(args)
        return
    if args.stage == "data":
        render(args.out / "shards", settings)
        return
    if args.stage == "adapter":
        adapter_command.train(args)
        return
    from idvid import runtime

    device = runtime.device().type
    call = TrainingRun(settings=settings, folder=args.out, device=device, resume=args.resume)
    stages = STAGES if args.stage == "all" else (args.stage,)
    kinds = tuple(dict.fromkeys(kind for stage in stages for kind in _KINDS[stage]))
    with _feeding(call, kinds) as feeder:
        for stage in stages:
            train_stage(stage, call, feeder)


def settings_of(args: argparse.Namespace) -> TrainingSettings:
    """The preset with what the arguments change.

    Raises:
        InputError: a number makes no sense.
    """
    for name in ("minutes", "steps", "shards", "threads"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name} is {value}; give a number above 0.")
    weights = {name: getattr(args, name) for name in ("identity_weight", "temporal_weight")}
    for name, value in weights.items():
        if value is not None and not 0 <= value < math.inf:
            raise InputError(f"--{name.replace('_', '-')} is {value}; give 0 or more.")
    preset = PRESETS[args.preset]
    counted = {"backbone": "num_face_shards", "planner": "num_trace_shards"}
    changes = {counted.get(args.stage, "num_shards"): args.shards, "workers": args.workers}
    data = replace(preset.data, **{k: v for k, v in changes.items() if v is not None})
    settings = replace(preset, data=data, seed=args.seed)
    settings = replace(settings, threads=args.threads or preset.threads)
    video = replace(settings.video, **{k: v for k, v in weights.items() if v is not None})
    settings = replace(settings, video=video)
    if args.steps is None and args.minutes is None:
        return settings
    return _limited(settings, args.steps or _ENDLESS, args.minutes)


def render(folder: Path, settings: TrainingSettings) -> None:
    """Render all shards that are missing, in the preset's processes, and wait for them."""
    from idvid.training.feeder import Feeder, FeederJob

    with Feeder() as feeder:
        feeder.start_rendering(FeederJob(folder=folder, data=settings.data))
        feeder.join()


def train_stage(name: str, call: TrainingRun, feeder: Feeder) -> None:
    """Wait for the data that a stage needs, then train it."""
    import torch

    from idvid import runtime
    from idvid.training.loop import RunSettings, train

    torch.set_num_threads(call.settings.threads or runtime.num_threads())
    torch.manual_seed(call.settings.seed)  # fresh weights; steps have draws of their own
    stage = _BUILDERS[name](call, feeder)
    run_settings = RunSettings(
        folder=call.folder / name,
        model_folder=call.model,
        seed=call.settings.seed,
        resume=call.resume,
        device=call.device,
    )
    train(stage, run_settings)


@contextmanager
def _feeding(call: TrainingRun, kinds: tuple[str, ...]) -> Iterator[Feeder]:
    """Renderers that work while the stages train."""
    from idvid.training.feeder import Feeder, FeederJob

    with Feeder() as feeder:
        feeder.start_rendering(FeederJob(folder=call.shards, data=call.settings.data, kinds=kinds))
        yield feeder


def _limited(settings: TrainingSettings, num_steps: int, minutes: float | None) -> TrainingSettings:
    """Every stage with both limits: the first one ends it. At most a tenth of the steps warms up."""

    def limit(optimiser: OptimiserSettings) -> OptimiserSettings:
        warmup = min(optimiser.warmup_steps, max(num_steps // 10, 1))
        return replace(optimiser, num_steps=num_steps, minutes=minutes, warmup_steps=warmup)

    return replace(
        settings,
        autoencoder=replace(settings.autoencoder, optimiser=limit(settings.autoencoder.optimiser)),
        backbone=replace(settings.backbone, optimiser=limit(settings.backbone.optimiser)),
        video=replace(settings.video, optimiser=limit(settings.video.optimiser)),
        distil=replace(settings.distil, optimiser=limit(settings.distil.optimiser)),
        planner=replace(settings.planner, optimiser=limit(settings.planner.optimiser)),
    )


def _await(feeder: Feeder, folder: Path, derivative: str, count: int) -> None:
    from idvid.training.feeder import wait_for

    for _ in wait_for(folder, "train", derivative, count):
        feeder.check()


def _autoencoder(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.autoencoder_stage import AutoencoderStage

    data = call.settings.data
    _await(feeder, call.shards, "", min(data.wait_for_shards, data.num_shards))
    return AutoencoderStage(call.settings, call.shards, call.starts, call.device)


def _backbone(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.backbone_stage import BackboneStage

    faces, data = call.shards / "faces", call.settings.data
    _await(feeder, faces, "", min(data.wait_for_shards, data.num_face_shards))
    return BackboneStage(call.settings, faces, call.starts, call.device)


def _video(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.video_stage import VideoStage

    return VideoStage(call.settings, _video_sources(call, feeder), call.device)


def _distil(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.distil_stage import DistilStage

    return DistilStage(call.settings, _video_sources(call, feeder), call.device)


def _video_sources(call: TrainingRun, feeder: Feeder) -> VideoSources:
    """Clips as latents, encoded while the stage trains, and the frozen parts that encode them."""
    from idvid.training.cache import CacheJob, derivative_name, encode_shards, load_frozen
    from idvid.training.video_stage import VideoSources
    from idvid.training.vocabulary import obtain_tokenizer

    _take_shipped(call)
    frozen = load_frozen(call.model, call.device)
    derivative = derivative_name(call.model)
    data = call.settings.data.on(call.device)
    feeder.start(encode_shards, CacheJob(folder=call.shards, models=call.model, data=data))
    _await(feeder, call.shards, derivative, min(data.wait_for_shards, data.num_shards))
    return VideoSources(
        shards=call.shards,
        derivative=derivative,
        frozen=frozen,
        tokenizer=obtain_tokenizer(call.model / "tokenizer", _SHIPPED / "tokenizer"),
        starts=call.starts,
    )


def _planner(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.planner_stage import PlannerStage
    from idvid.training.vocabulary import obtain_tokenizer

    _await(feeder, call.shards / "traces", "", 1)
    tokenizer = obtain_tokenizer(call.model / "tokenizer", _SHIPPED / "tokenizer")
    return PlannerStage(call.settings, call.shards, tokenizer, call.starts, call.device)


def _take_shipped(call: TrainingRun) -> None:
    """Copy the frozen parts, and the tokenizer, that this run did not train itself.

    Raises:
        ModelError: neither this run nor the package has a part.
    """
    import shutil

    for name in ("autoencoder", "backbone"):
        if (call.model / name).exists():
            continue
        if not (_SHIPPED / name).exists():
            message = f"The video stage needs the part '{name}'; train the stage '{name}' first."
            raise ModelError(message)
        shutil.copytree(_SHIPPED / name, call.model / name)


_BUILDERS = {
    "autoencoder": _autoencoder,
    "backbone": _backbone,
    "video": _video,
    "distil": _distil,
    "planner": _planner,
}

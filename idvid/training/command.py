"""`python -m idvid train STAGE`: what the stages need, in which order, from which folder.

A run lives in one folder: `shards/`, one folder per stage with checkpoints, log and sheets, and
`model/`, a model folder that grows part by part. Importing this module imports no torch, so that
the command line stays instant.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import ModelError
from idvid.training import adapter_command
from idvid.training.arguments import STAGES, settings_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from idvid.training.feeder import Feeder
    from idvid.training.settings import TrainingSettings
    from idvid.training.stage import Stage
    from idvid.training.video_stage import VideoSources

# What each stage reads of all that can be rendered.
_KINDS = {
    "autoencoder": ("clips",),
    "backbone": ("faces",),
    "reenactor": ("series",),
    "matte": ("cutouts",),
    "video": ("clips",),
    "distil": ("clips",),
    "decoder": ("clips",),
    "planner": ("traces",),
}
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


def _reenactor(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.reenactor_stage import ReenactorStage

    series, data = call.shards / "series", call.settings.data
    _await(feeder, series, "", min(data.wait_for_shards, data.num_series_shards))
    return ReenactorStage(call.settings, series, call.starts, call.device)


def _matte(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.matte_stage import MatteStage

    cutouts, data = call.shards / "cutouts", call.settings.data
    _await(feeder, cutouts, "", min(data.wait_for_shards, data.num_cutout_shards))
    return MatteStage(call.settings, cutouts, call.starts, call.device)


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
    for worker in range(data.encoders):
        job = CacheJob(folder=call.shards, models=call.model, data=data)
        feeder.start(encode_shards, job, worker)
    _await(feeder, call.shards, derivative, min(data.wait_for_shards, data.num_shards))
    return VideoSources(
        shards=call.shards,
        derivative=derivative,
        frozen=frozen,
        tokenizer=obtain_tokenizer(call.model / "tokenizer", _SHIPPED / "tokenizer"),
        starts=call.starts,
    )


def _decoder(call: TrainingRun, feeder: Feeder) -> Stage:
    from idvid.training.decoder_stage import DecoderStage
    from idvid.training.finished import FinishJob, finish_shards, finished_name

    sources = _video_sources(call, feeder)
    settings = replace(call.settings, data=call.settings.data.on(call.device))
    job = FinishJob(
        folder=call.shards, latents=sources.derivative, starts=call.starts, settings=settings
    )
    finished = finished_name(job.starts, job.latents)
    for worker in range(settings.data.encoders):
        feeder.start(finish_shards, job, worker)
    _await(
        feeder, call.shards, finished, min(settings.data.wait_for_shards, settings.data.num_shards)
    )
    return DecoderStage(settings, call.shards, finished, call.starts, call.device)


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

    from idvid.models.checkpoint import PHOTO_PARTS
    from idvid.training.cache import FROZEN

    for name in (*FROZEN, *PHOTO_PARTS):
        if (call.model / name).exists():
            continue
        if (_SHIPPED / name).exists():
            shutil.copytree(_SHIPPED / name, call.model / name)
        elif name in FROZEN:  # without the others photos are laid as they are
            message = f"The video stage needs the part '{name}'; train the stage '{name}' first."
            raise ModelError(message)


_BUILDERS = {
    "autoencoder": _autoencoder,
    "backbone": _backbone,
    "reenactor": _reenactor,
    "matte": _matte,
    "video": _video,
    "distil": _distil,
    "decoder": _decoder,
    "planner": _planner,
}

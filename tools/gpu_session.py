"""The bundled model's training in one short loan of a GPU, next to a host with many cores.

    python -m tools.gpu_session render OUT --kinds series clips &   # until it is stopped
    python -m tools.gpu_session train OUT reenactor --minutes 1.5   # photos are laid by it
    python -m tools.gpu_session train OUT video --minutes 5
    python -m tools.gpu_session train OUT distil --minutes 1.5
    python -m tools.gpu_session pack OUT RESULTS

What is not trained here, and all starting weights, are the shipped ones. The planner may run beside
the others: it has a folder of its own, so that no two processes write one model.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.training.command import TrainingRun, train_stage
from idvid.training.feeder import KINDS, Feeder, FeederJob, make_shards
from idvid.training.presets import H200

if TYPE_CHECKING:
    from collections.abc import Sequence

    from idvid.training.settings import TrainingSettings

FIRST_SHARD = 5_200  # earlier versions saw the people of lower numbers
SETTINGS = replace(
    H200,
    data=replace(
        H200.data,
        first_shard=FIRST_SHARD,
        num_shards=800,  # before the face clips' people; a session renders some 300
        num_series_shards=240,
        num_trace_shards=120,
        wait_for_shards=24,
        workers=13,
        encoders=5,
    ),
)
_PLANNER = ("planner", "planner_prompt_encoder")
_ARCHIVES = {  # each under 16 MB
    "teacher": ("transformer",),
    "student": ("transformer_few",),
    "encoders": (
        "identity_encoder",
        "identity_bank",
        "prompt_encoder",
        "tokenizer",
        "autoencoder",
    ),
    "photos": ("reenactor", "matte"),
}
_STAGES = ("planner", "reenactor", "matte", "video", "distil", "decoder")
_LAST_SHEETS = 3  # of a stage


def main() -> None:
    """Run one part of the session."""
    asked = _parser().parse_args()
    if asked.what == "render":
        render(asked.out, asked.kinds)
    elif asked.what == "train":
        _train(asked.stage, asked.out, asked.minutes)
    else:
        pack(asked.out, asked.results)


def render(out: Path, kinds: Sequence[str]) -> None:
    """One kind of shards after the other."""
    compile_renderer()
    for kind in kinds:
        with Feeder() as feeder:
            job = FeederJob(folder=out / "shards", data=SETTINGS.data, kinds=(kind,))
            feeder.start_rendering(job)
            feeder.join()


def compile_renderer() -> None:
    """Leave the renderer's kernels in numba's cache, or each of the processes makes its own.

    On 16 cores that took 14 of them two minutes.
    """
    one = replace(SETTINGS.data, clips_per_shard=1, num_shards=0, num_validation_shards=1)
    with tempfile.TemporaryDirectory() as folder:
        make_shards(FeederJob(folder=Path(folder), data=one, kinds=("clips",)))


def pack(out: Path, results: Path) -> None:
    """Archive what was trained, with logs and sheets."""
    results.mkdir(parents=True, exist_ok=True)
    model = out / "model"
    for name, parts in _ARCHIVES.items():
        _archive(results / f"{name}.tar", [(model / part, part) for part in parts])
    plans = _folder_of("planner", out) / "model"
    _archive(results / "planner.tar", [(plans / part, part) for part in _PLANNER])
    stages = {name: _folder_of(name, out) / name for name in _STAGES}
    with tarfile.open(results / "logs.tar", "w") as archive:
        for stage, folder in stages.items():
            sheets = sorted((folder / "sheets").glob("*.png"))[-_LAST_SHEETS:]
            for file in (folder / "log.jsonl", *sheets):
                if file.exists():
                    archive.add(file, f"{stage}/{file.relative_to(folder)}")


def _archive(path: Path, folders: list[tuple[Path, str]]) -> None:
    """Whatever exists of the folders."""
    with tarfile.open(path, "w") as archive:
        for folder, name in folders:
            if folder.is_dir():
                archive.add(folder, name)


def _train(stage: str, out: Path, minutes: float | None) -> None:
    from idvid import runtime

    call = TrainingRun(
        settings=_within(stage, minutes),
        folder=_folder_of(stage, out),
        device=runtime.device().type,
        resume=False,
    )
    with Feeder() as feeder:
        train_stage(stage, call, feeder)


def _within(stage: str, minutes: float | None) -> TrainingSettings:
    """The session's settings with a stage's wall limit; None: the preset's."""
    if minutes is None:
        return SETTINGS
    part = getattr(SETTINGS, stage)
    limited = replace(part, optimiser=replace(part.optimiser, minutes=minutes))
    return replace(SETTINGS, **{stage: limited})


def _folder_of(stage: str, out: Path) -> Path:
    """Where a stage trains."""
    if stage != "planner":
        return out
    folder = out / "plans"
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "shards").symlink_to((out / "shards").resolve())
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = parser.add_subparsers(dest="what", required=True)
    rendering = parts.add_parser("render", help="until it is stopped")
    rendering.add_argument("out", type=Path)
    rendering.add_argument("--kinds", nargs="+", choices=KINDS, default=("traces", "clips"))
    training = parts.add_parser("train", help="one stage")
    training.add_argument("out", type=Path)
    training.add_argument("stage", choices=_STAGES)
    training.add_argument("--minutes", type=float, help="default: the preset's")
    packing = parts.add_parser("pack", help="archive what was trained")
    packing.add_argument("out", type=Path)
    packing.add_argument("results", type=Path)
    return parser


if __name__ == "__main__":
    main()

"""What the command line does: generate, measure, check and export, with progress on stderr.

Owns which files are written where. Knows no argument syntax; raises `IdvidError` for the user.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from idvid.errors import InputError
from idvid.faces.pack_choice import choose_judge, licence_of, refuse_conditioner
from idvid.faces.quality import check_references
from idvid.media.clip_reader import VideoLimits, iter_video
from idvid.media.ending import read_ending
from idvid.media.image import picture_files, read_image, shown_name
from idvid.media.video import SegmentWriter, concat
from idvid.metrics.plots import write_comparison, write_figure
from idvid.metrics.report import DriftMeter, write_csv, write_json
from idvid.pipeline.record import run_record, write_run
from idvid.scene_file import read_scene, validate_characters
from idvid.terminal import Progress, load_model
from idvid.types import Character, StepDone, SteppedDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from idvid.config import GenerationSettings
    from idvid.faces.embed import FaceEncoder
    from idvid.faces.quality import ReferenceCheck, ReferenceFace
    from idvid.pipeline.extras import Extras
    from idvid.pipeline.loader import Loader
    from idvid.types import DriftReport, WindowDone

    References = Mapping[str, tuple[ReferenceFace, ...]]

FRAMES_AT_ONCE = 16  # frames of a measured video that are held in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A request for the videos of one scene."""

    scene_file: Path
    settings: tuple[GenerationSettings, ...]  # one per method; several are compared
    num_steps: int | None  # instead of the settings'; None is what suits the model
    guidance_scale: float | None  # the same
    full: bool  # never the few-step model
    seed: int | None  # instead of the scene's
    model: str  # of the menu, a folder or a Hub name, see `idvid.pipeline.choosing.choose`
    extras: Extras  # what is added to it
    size: tuple[int, int] | None  # width and height of VACE's video; None: its default
    extend: Path | None  # a video that VACE goes on from
    judge: str  # who measures, see `idvid.faces.pack_choice.choose_judge`
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A request to measure a video, whoever made it."""

    video_file: Path
    characters: Path  # a folder of photos per character
    max_seconds: float
    judge: str  # who measures, see `idvid.faces.pack_choice.choose_judge`
    out: Path


def generate(request: Generation) -> None:
    """Write video.mp4, report.json, drift.csv, drift.png and run.json; a folder per method if several.

    Several methods also give `comparison.png`.
    """
    _make_folder(request.out)
    scene = read_scene(request.scene_file)
    if request.seed is not None:
        scene = dataclasses.replace(scene, seed=request.seed)
    references = usable_references(scene.characters)
    judge = _judge(request.judge)
    model = load_model(_loader(request), request.model, request.extras)  # last, if all else is well
    if model.pipeline.conditioner is not None:
        refuse_conditioner(judge, model.pipeline.conditioner)
    faces = tuple(references.values())
    before = None
    if request.extend is not None:
        model.require_extension()
        before = read_ending(request.extend, model.backend)
    reports: dict[str, DriftReport] = {}
    several = len(request.settings) > 1
    for each in request.settings:
        wish = dataclasses.replace(each, few_steps=not request.full)
        settings = model.suited(wish, request.num_steps, request.guidance_scale)
        folder = request.out / settings.method if several else request.out
        events = model.stream(scene, faces, settings, lambda: False, before)
        meter = partial(DriftMeter, references, encoder=judge)
        reports[settings.method] = _record(events, meter, settings.method, folder)
        write_run(run_record(model, scene, settings), folder / "run.json")
    if several:
        write_comparison(reports, request.out / "comparison.png")


def _loader(request: Generation) -> Loader:
    from idvid.pipeline.loader import Loader

    if request.size is None:
        return Loader()
    from idvid.pipeline.vace_options import VaceOptions  # takes seconds to import

    width, height = request.size
    return Loader(VaceOptions(width_px=width, height_px=height))


def measure(request: Measurement) -> None:
    """Write report.json, drift.csv and drift.png for any video."""
    _make_folder(request.out)
    references = usable_references(read_characters(request.characters))
    video = iter_video(request.video_file, VideoLimits(max_seconds=request.max_seconds))
    meter = DriftMeter(references, video.fps, _judge(request.judge))
    progress = Progress("measure")
    seen = 0
    for frames in _batches(video.frames):
        meter.add(frames)
        seen += len(frames)
        progress.show(f"{seen / video.fps:.1f} s of video")
    progress.end()
    _write_report(meter.report(), request.out)


def check(scene_file: Path) -> ReferenceCheck:
    """What there is to say about the reference photos of a scene."""
    return check_references(read_scene(scene_file).characters)


def export(model: str | None, file: Path) -> None:
    """Write a model's face backbone as an ONNX file in ArcFace's layout.

    Args:
        model: A folder or a Hub name; None is the bundled model.
        file: Where to; an existing file is replaced.
    """
    from idvid.models.export_onnx import export_backbone
    from idvid.pipeline.generate import load_pipeline

    _make_folder(file.parent)
    export_backbone(load_pipeline(model).backbone, file)


def _judge(choice: str) -> FaceEncoder:
    """Load who measures; what its licence forbids goes to stderr."""
    judge = choose_judge(choice)
    notice = licence_of(judge).notice
    if notice:
        sys.stderr.write(f"notice: {notice}\n")
    return judge


def usable_references(characters: tuple[Character, ...]) -> References:
    """The usable reference faces by name; what else is to be said goes to stderr.

    Raises:
        ReferencePhotoError: If a character has no usable photo.
    """
    result = check_references(characters)
    for finding in result.findings:
        sys.stderr.write(f"{finding.severity}: {finding.message}\n")
    result.raise_if_refused()
    return {c.name: faces for c, faces in zip(characters, result.references, strict=True)}


def read_characters(folder: Path) -> tuple[Character, ...]:
    """One character per sub-folder of photos, in the order of their names.

    Raises:
        InputError: If there is no such folder, or a character breaks a rule.
    """
    if not folder.is_dir():
        raise InputError(
            f"{shown_name(folder.name)} is no folder; name one with a folder a person."
        )
    folders = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not folders:
        raise InputError(
            f"{shown_name(folder.name)} holds no folder; make one per character, with photos in it."
        )
    cast = tuple(
        Character(name=f.name, photos=tuple(read_image(p, p.name) for p in picture_files(f)))
        for f in folders
    )
    validate_characters(cast)
    return cast


def _record(
    events: Iterator[StepDone | WindowDone | SteppedDown],
    open_meter: Callable[[float], DriftMeter],
    label: str,
    folder: Path,
) -> DriftReport:
    """Encode and measure the windows of one run as they arrive; the meter opens at their fps."""
    progress = Progress(label)
    segments: list[bytes] = []
    writer: SegmentWriter | None = None
    meter: DriftMeter | None = None
    for event in events:
        if isinstance(event, StepDone):
            progress.show_step(event)
            continue
        if isinstance(event, SteppedDown):
            progress.note(event.message)
            continue
        if writer is None or meter is None:
            writer, meter = SegmentWriter(event.fps), open_meter(event.fps)
        segments.append(writer.write(event.frames))
        meter.add(event.frames)
    assert meter is not None, "a pipeline yields at least one window"
    _make_folder(folder)
    concat(segments, folder / "video.mp4")
    report = meter.report()
    _write_report(report, folder)
    progress.end()
    return report


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {shown_name(folder.name)} cannot be made; give --out a folder of yours."
        ) from error


def _write_report(report: DriftReport, folder: Path) -> None:
    write_json(report, folder / "report.json")
    write_csv(report, folder / "drift.csv")
    write_figure(report, folder / "drift.png")


def _batches(frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """(T, H, W, 3) with T at most `FRAMES_AT_ONCE`."""
    batch: list[NDArray[np.uint8]] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == FRAMES_AT_ONCE:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)

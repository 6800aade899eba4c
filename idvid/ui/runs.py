"""One run of the page or the API: several methods of the same scene, window by window.

Owns the order of work and the files of a run. Yields plain values; knows neither gradio nor any
model (those come in as an `Engine`).
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from idvid.media.video import SegmentWriter, concat
from idvid.types import SteppedDown, WindowDone
from idvid.ui import text
from idvid.ui.engine import DEFAULT_WISH, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from idvid.config import GenerationSettings
    from idvid.faces.quality import Finding
    from idvid.metrics.report import DriftMeter
    from idvid.pipeline.load import LoadedModel
    from idvid.pipeline.make import Made
    from idvid.types import DriftReport, Scene
    from idvid.ui.engine import Engine

Points: TypeAlias = (
    "tuple[tuple[float, float | None], ...]"  # (time_s, id_sim or None where not found)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One scene and one or two ways to make it."""

    scene: Scene
    settings: tuple[GenerationSettings, ...]
    wish: Wish = DEFAULT_WISH
    ending: Path | None = None  # an uploaded video to go on from
    num_steps: int | None = None  # instead of the settings'; None is what suits the model
    guidance_scale: float | None = None  # the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Nothing to show yet but a sentence."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The photos and the words have been looked at."""

    findings: tuple[Finding, ...]
    unknown_words: tuple[str, ...]
    judge: str  # who measures, and what that licence asks, in sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """Memory ran out or compiling failed, and the run goes on in a way that asks for less."""

    method: str  # at work when that happened
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One more denoising step is done."""

    method: str
    done: int  # steps of the whole run, all methods together
    total: int
    seconds_left: float | None  # None until it can be told


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A window can be played."""

    method: str
    path: Path  # MPEG-TS segment; valid until the next event is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The judge has looked at a window."""

    method: str
    new: dict[str, Points]  # this window's points per character
    report: DriftReport  # of the clip so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A method's clip is complete, or as complete as a stop left it."""

    method: str
    video: Path  # seekable mp4; the files are valid until the next event is asked for
    report: DriftReport
    files: tuple[Path, ...]  # report.json, drift.csv, drift.png, run.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Every method's curves over each other."""

    figure: Path
    reports: dict[str, DriftReport]  # by method


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The run is over."""

    message: str


Event = Waiting | Checked | Replanned | Progress | Chunk | Measured | Finished | Compared | Ended


def run(
    request: RunRequest, engine: Engine, folder: Path, stopped: Callable[[], bool]
) -> Iterator[Event]:
    """Make the scene with every method, alternating windows, and measure what comes.

    Args:
        request: what to make.
        engine: where the pictures and the measurements come from.
        folder: an empty folder for the files of this run.
        stopped: asked after every step; what is finished by then is kept.
    """
    yield Waiting(message=text.CHECKING)
    checked = engine.check(request.scene.characters)
    checked.raise_if_refused()
    with ExitStack() as stack:
        model = yield from held(request.wish, engine, stack, stopped)
        if model is None:
            yield Ended(message=text.STOPPED_EMPTY)
            return
        unknown = tuple(model.pipeline.unknown_words(request.scene))
        judge = engine.judge(request.wish.judge, model)
        about = engine.about_judge(request.wish.judge, judge)
        yield Checked(findings=checked.findings, unknown_words=unknown, judge=about)
        if model.choice.extras.compiled:
            yield Waiting(message=text.COMPILING)
        before = None if request.ending is None else engine.ending(request.ending, model)
        settings = suited(request, model)
        meter = partial(engine.meter, request.scene, checked, judge)
        record = partial(engine.record, model, request.scene)
        lanes = [Lane(s.method, meter, engine, record(s)) for s in settings]
        with closing(engine.make(model, request.scene, checked, settings, before)) as made:
            yield from follow(made, lanes, folder, stopped)
        yield from finish([lane for lane in lanes if lane.segments], engine, folder)
        yield Ended(message=last_words(lanes, is_stopped=stopped()))


def held(
    wish: Wish, engine: Engine, stack: ExitStack, stopped: Callable[[], bool]
) -> Generator[Event, None, LoadedModel | None]:
    """The model of a run, kept until the stack unwinds; None if a stop came first."""
    waiting = engine.hold(wish)
    stack.callback(waiting.close)
    while not stopped():
        try:
            sentence = next(waiting)
        except StopIteration as end:
            stack.callback(engine.release)
            return end.value
        yield Waiting(message=sentence)
    return None


class Lane:
    """One method's clip in the making."""

    def __init__(
        self,
        method: str,
        open_meter: Callable[[float], DriftMeter],
        engine: Engine,
        record: dict[str, Any],
    ) -> None:
        self.method = method
        self.segments: list[bytes] = []
        self.steps_done, self.steps_total = 0, 0
        self._open_meter, self._engine, self._record = open_meter, engine, record
        self._writer: SegmentWriter | None = None
        self._meter: DriftMeter | None = None

    def write(self, window: WindowDone, folder: Path) -> Chunk:
        """Encode a window's frames to a segment that can be played at once."""
        if self._writer is None:
            self._writer = SegmentWriter(fps=window.fps)
        segment = self._writer.write(window.frames)
        path = folder / f"{self.method}-{len(self.segments):04d}.ts"
        path.write_bytes(segment)
        self.segments.append(segment)
        return Chunk(method=self.method, path=path)

    def measure(self, window: WindowDone) -> Measured:
        """Let the judge look at a window's frames."""
        meter = self._meter or self._open_meter(window.fps)
        self._meter = meter
        return Measured(method=self.method, new=meter.add(window.frames), report=meter.report())

    def finish(self, folder: Path) -> Finished:
        """Write the seekable video and the report files."""
        assert self._meter is not None
        folder.mkdir()
        report = self._meter.report()
        files = self._engine.write_report(report, self._record, folder)
        video = folder / f"idvid-{self.method}.mp4"
        concat(self.segments, video)
        return Finished(method=self.method, video=video, report=report, files=files)


def suited(request: RunRequest, model: LoadedModel) -> tuple[GenerationSettings, ...]:
    """Settings per method, with what suits the model where no number was asked for."""
    return tuple(
        model.suited(wish, request.num_steps, request.guidance_scale) for wish in request.settings
    )


def follow(
    made: Iterator[Made], lanes: list[Lane], folder: Path, stopped: Callable[[], bool]
) -> Iterator[Event]:
    """Show what is made as it comes, until all lanes are through or somebody stops it."""
    started = time.monotonic()
    by_method = {lane.method: lane for lane in lanes}
    for one in made:
        lane, event = by_method[one.method], one.event
        if isinstance(event, WindowDone):
            yield lane.write(event, folder)
            yield lane.measure(event)
        elif isinstance(event, SteppedDown):
            message = text.replanned(one.method, event.message)
            yield Replanned(method=one.method, message=message)
        elif not stopped():
            lane.steps_done, lane.steps_total = event.done, event.total
            yield progress(lanes, lane.method, time.monotonic() - started)
        if stopped():
            return


def progress(lanes: list[Lane], method: str, elapsed_s: float) -> Progress:
    """How far the whole run is, and how long the rest takes at the pace so far."""
    done = sum(lane.steps_done for lane in lanes)
    total = max(lane.steps_total for lane in lanes) * len(lanes)
    left = elapsed_s * (total - done) / done if done > 1 else None
    return Progress(method=method, done=done, total=total, seconds_left=left)


def finish(lanes: list[Lane], engine: Engine, folder: Path) -> Iterator[Event]:
    """Files of every lane that has pictures, and the comparison of two."""
    reports = {}
    for lane in lanes:
        finished = lane.finish(folder / lane.method)
        reports[lane.method] = finished.report
        yield finished
    if len(reports) > 1:
        yield Compared(figure=engine.write_comparison(reports, folder), reports=reports)


def last_words(lanes: list[Lane], *, is_stopped: bool) -> str:
    """How the run ended, in a sentence."""
    if not is_stopped:
        return text.DONE
    return text.STOPPED if any(lane.segments for lane in lanes) else text.STOPPED_EMPTY

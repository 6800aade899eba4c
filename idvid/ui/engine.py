"""The page's only door to the models: pipeline, face check and drift meter.

Owns when the models load and what state they are in. Knows neither gradio nor torch.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from idvid.errors import IdvidError, ModelError
from idvid.ui import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from idvid.config import GenerationSettings
    from idvid.faces.quality import ReferenceCheck, ReferenceFace
    from idvid.metrics.report import DriftMeter
    from idvid.types import Character, DriftReport, Scene, StepDone, WindowDone


class Pipeline(Protocol):
    """What the page needs of a pipeline."""

    def stream(
        self,
        scene: Scene,
        references: tuple[tuple[ReferenceFace, ...], ...],
        settings: GenerationSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[StepDone | WindowDone]:
        """Yield an event for every denoising step and every finished window."""
        ...

    def unknown_words(self, scene: Scene) -> tuple[str, ...]:
        """The words of prompt and descriptions that the model was never taught."""
        ...


def load_bundled() -> Pipeline:
    """Load the bundled model; takes seconds."""
    from idvid.pipeline.generate import load_pipeline

    return load_pipeline()


class Engine:
    """Loads the models once in the background and hands out their work."""

    def __init__(self, load: Callable[[], Pipeline] = load_bundled) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loading: Future[Pipeline] | None = None

    def start(self) -> None:
        """Begin to load in the background; does nothing if that has begun."""
        with self._lock:
            if self._loading is None:
                worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load-model")
                self._loading = worker.submit(self._load_all)
                worker.shutdown(wait=False)

    @property
    def is_loading(self) -> bool:
        """Whether the models are not there yet (nor refused)."""
        return self._loading is None or not self._loading.done()

    @property
    def state(self) -> str:
        """The state of the models in one sentence."""
        if self._loading is None or not self._loading.done():
            return text.LOADING
        error = self._loading.exception()
        if error is None:
            return text.READY
        return str(error) if isinstance(error, IdvidError) else text.MODEL_FAILED

    def check(self, characters: tuple[Character, ...]) -> ReferenceCheck:
        """Look for a usable face on every photo; never raises for a bad photo."""
        from idvid.faces.quality import check_references

        return check_references(characters)

    def stream(
        self,
        scene: Scene,
        checked: ReferenceCheck,
        settings: GenerationSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[StepDone | WindowDone]:
        """Generate one clip; waits for the models if they are still loading.

        Raises:
            ModelError: the models could not be loaded.
        """
        return self._pipeline().stream(scene, checked.references, settings, cancelled)

    def meter(self, scene: Scene, checked: ReferenceCheck, fps: float) -> DriftMeter:
        """Open a drift meter for one clip of a scene."""
        from idvid.metrics.report import DriftMeter

        names = [character.name for character in scene.characters]
        return DriftMeter(dict(zip(names, checked.references, strict=True)), fps)

    def write_report(self, report: DriftReport, folder: Path) -> tuple[Path, Path, Path]:
        """Write report.json, drift.csv and drift.png."""
        from idvid.metrics.plots import write_figure
        from idvid.metrics.report import write_csv, write_json

        files = (folder / "report.json", folder / "drift.csv", folder / "drift.png")
        write_json(report, files[0])
        write_csv(report, files[1])
        write_figure(report, files[2])
        return files

    def write_comparison(self, reports: dict[str, DriftReport], folder: Path) -> Path:
        """Write one figure of several methods' curves, by method."""
        from idvid.metrics.plots import write_comparison

        write_comparison(reports, folder / "comparison.png")
        return folder / "comparison.png"

    def unknown_words(self, scene: Scene) -> tuple[str, ...]:
        """The words of prompt and descriptions that the model was never taught."""
        return tuple(self._pipeline().unknown_words(scene))

    def _load_all(self) -> Pipeline:
        from idvid.faces.embed import load_judge

        load_judge()  # kept by its module; the first run need not wait for it
        return self._load()

    def _pipeline(self) -> Pipeline:
        self.start()
        assert self._loading is not None
        error = self._loading.exception()
        if error is not None and not isinstance(error, IdvidError):
            raise ModelError(text.MODEL_FAILED) from error
        return self._loading.result()

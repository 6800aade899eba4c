"""The page's only door to the models: pipeline, face check and drift meter.

Owns when the models load and what state they are in. Knows neither gradio nor torch.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from idvid.errors import IdvidError, ModelError
from idvid.ui import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from idvid.config import GenerationSettings
    from idvid.metrics.report import DriftMeter
    from idvid.types import Character, Scene, StepDone, WindowDone


class Pipeline(Protocol):
    """What the page needs of a pipeline."""

    def stream(
        self,
        scene: Scene,
        references: Any,  # noqa: ANN401 - passed from the face check to the pipeline, opaque here
        settings: GenerationSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[StepDone | WindowDone]:
        """Yield an event for every denoising step and every finished window."""
        ...


def load_bundled() -> Pipeline:
    """Load the bundled model; takes seconds."""
    from idvid.pipeline.generate import load_pipeline

    return load_pipeline()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReferences:
    """What the face check says, and what the models may use of it."""

    findings: tuple[tuple[str, str], ...]  # (character's name, sentence), empty if all is well
    usable: Any  # opaque: from `check_references` to the pipeline and to the drift meter


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
                self._loading = worker.submit(self._load)
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

    def check(self, characters: tuple[Character, ...]) -> CheckedReferences:
        """Look for a usable face on every photo.

        Raises:
            ReferencePhotoError: a character has no usable photo.
        """
        from idvid.faces.quality import check_references

        return check_references(characters)

    def stream(
        self,
        scene: Scene,
        references: CheckedReferences,
        settings: GenerationSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[StepDone | WindowDone]:
        """Generate one clip; waits for the models if they are still loading.

        Raises:
            ModelError: the models could not be loaded.
        """
        return self._pipeline().stream(scene, references.usable, settings, cancelled)

    def meter(self, references: CheckedReferences, fps: float) -> DriftMeter:
        """Open a drift meter for one clip."""
        from idvid.metrics.report import DriftMeter

        return DriftMeter(references.usable, fps)

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """The words of the prompt that the model was never taught."""
        from idvid.pipeline.prompt import unknown_words

        return tuple(unknown_words(prompt))

    def _pipeline(self) -> Pipeline:
        self.start()
        assert self._loading is not None
        error = self._loading.exception()
        if error is not None and not isinstance(error, IdvidError):
            raise ModelError(text.MODEL_FAILED) from error
        return self._loading.result()

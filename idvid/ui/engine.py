"""The page's only door to the models: the loader, the face check and the drift meter.

Owns what is loaded at the start and what is said about it. Knows neither gradio nor torch.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idvid.errors import HubError, IdvidError, InputError, ModelError
from idvid.hub import card_of, fetch, local_path
from idvid.pipeline.choosing import DEFAULT
from idvid.pipeline.extras import NOTHING_ADDED, Extras
from idvid.pipeline.loader import Loader
from idvid.pipeline.make import make
from idvid.pipeline.record import run_record, write_run
from idvid.ui import text

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from idvid.config import GenerationSettings
    from idvid.faces.embed import FaceEncoder
    from idvid.faces.quality import ReferenceCheck
    from idvid.metrics.report import DriftMeter
    from idvid.pipeline.choosing import Choice
    from idvid.pipeline.load import LoadedModel
    from idvid.pipeline.make import Made
    from idvid.pipeline.offers import Offer
    from idvid.types import Character, DriftReport, Scene

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to work with."""

    model: str = DEFAULT  # as `idvid.pipeline.choosing.choose_public` reads it
    extras: Extras = NOTHING_ADDED  # what is added to the model
    judge: str = text.BUNDLED_JUDGE  # who measures, a key of `text.JUDGE_LABELS`


DEFAULT_WISH = Wish()


class Engine:
    """Loads the default model once in the background, others when asked, and hands out work."""

    def __init__(self, loader: Loader | None = None) -> None:
        self.loader = loader or Loader()
        self._lock = threading.Lock()
        self._starting: Future[str] | None = None  # ends with what went wrong, or nothing
        self._said = text.LOADING
        self._pack: tuple[str, FaceEncoder] | None = None  # the judge last used beside our own

    def start(self) -> None:
        """Begin to load the default model in the background; does nothing if that has begun."""
        with self._lock:
            if self._starting is None:
                worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load-model")
                self._starting = worker.submit(self._load_default)
                worker.shutdown(wait=False)

    def start_now(self) -> None:
        """Load the default model before returning, in this thread, and nothing later.

        On a ZeroGPU Space weights reach the GPU only from the main thread, before the page answers.
        """
        with self._lock:
            self._starting = Future()
        self._starting.set_result(self._load_default())

    @property
    def is_starting(self) -> bool:
        """Whether the default model is not there yet (nor refused)."""
        return self._starting is None or not self._starting.done()

    @property
    def state(self) -> str:
        """The state of the models in one sentence."""
        if self._starting is None or not self._starting.done():
            return self._said
        model = self.loader.current
        if model is None:
            return self._starting.result() or text.NOTHING_LOADED
        return text.ready(model.choice.title, model.choice.why, model.plan and model.plan.sentence)

    def offer(self, wish: Wish) -> Offer:
        """What is to be known of a model before it is fetched or loaded.

        Raises:
            InputError: there is none of that name.
            ModelError: idvid does not run it, or the Hub does not answer.
        """
        return self.loader.offer(self._choice(wish))

    def require_here(self, wish: Wish) -> None:
        """Refuse a model, extras or a judge that would have to be downloaded first.

        Raises:
            InputError: it is not on this machine, or there is none of that name.
            ModelError: this machine has to keep another.
        """
        choice = self._choice(wish)
        self.loader.require_loadable(choice)
        if not self.loader.is_here(choice):
            added = " or what is added to it" if choice.extras.parts else ""
            raise InputError(text.not_here(f"The model {choice.title}{added}"))
        self._require_judge(wish.judge)

    def hold(self, wish: Wish) -> Generator[str, None, LoadedModel]:
        """Load a model, if it is another than the one in memory, and keep it until `release`.

        Yields:
            What is being waited for, in a sentence, a few times a second.

        Raises:
            InputError: there is none of that name.
            ModelError: it is not on this machine, does not fit, or cannot be loaded.
        """
        choice = self._choice(wish)
        try:
            return (yield from self.loader.hold(choice))
        except IdvidError:
            raise
        except Exception as error:
            log.exception("a model could not be loaded")
            raise ModelError(text.MODEL_FAILED) from error

    def release(self) -> None:
        """Let others have the model that `hold` gave."""
        self.loader.release()

    def bring(self, wish: Wish) -> Generator[tuple[str, float | None], None, None]:
        """Download model and judge if need be and load it; closing the generator cancels that.

        Yields:
            A sentence, and how much of the download is here, 0..1; None beside a download.

        Raises:
            InputError: there is none of that name.
            ModelError: it does not fit, the Hub did not give it, or it cannot be loaded.
        """
        packs = [] if wish.judge == text.BUNDLED_JUDGE else [fetch(card_of(wish.judge).ref)]
        for fetching in (self.loader.fetch(self._choice(wish)), *packs):
            with closing(fetching) as steps:
                for step in steps:
                    yield text.download(step), step.bytes_done / max(1, step.bytes_total)
        with closing(self.hold(wish)) as waiting:
            for sentence in waiting:
                yield sentence, None
        self.release()

    def check(self, characters: tuple[Character, ...]) -> ReferenceCheck:
        """Look for a usable face on every photo; never raises for a bad photo."""
        from idvid.faces.quality import check_references

        return check_references(characters)

    def make(
        self,
        model: LoadedModel,
        scene: Scene,
        checked: ReferenceCheck,
        settings: tuple[GenerationSettings, ...],
        before: NDArray[np.uint8] | None = None,
    ) -> Generator[Made, None, None]:
        """Make a scene with the model that `hold` gave, the methods in turn; see `make`."""
        return make(model, scene, checked.references, settings, before)

    def ending(self, video: Path, model: LoadedModel) -> NDArray[np.uint8]:
        """The end of a video, (T, H, W, 3) RGB, as a model goes on from it.

        Raises:
            InputError: the model cannot, or the file is no video that we can read.
        """
        from idvid.media.ending import read_ending

        model.require_extension()
        return read_ending(video, model.backend)

    def judge(self, name: str, model: LoadedModel) -> FaceEncoder:
        """Who measures what a model makes; the last one beside our own stays in memory.

        Raises:
            InputError: it was never downloaded.
            ModelError: it is damaged, or the network that conditions the model.
        """
        from idvid.faces.pack_choice import choose_judge, refuse_conditioner

        self._require_judge(name)
        if name == text.BUNDLED_JUDGE:
            return choose_judge(name)
        if self._pack is None or self._pack[0] != name:
            self._pack = (name, choose_judge(name))
        if model.pipeline.conditioner is not None:
            refuse_conditioner(self._pack[1], model.pipeline.conditioner)
        return self._pack[1]

    def has_judge(self, name: str) -> bool:
        """Whether a judge is on this machine."""
        if name == text.BUNDLED_JUDGE:
            return True
        try:
            local_path(card_of(name).ref, offline=True)
        except HubError:
            return False
        return True

    def about_judge(self, name: str, judge: FaceEncoder | None = None) -> str:
        """A judge and its licence; as the catalogue has it until the files themselves are there."""
        from idvid.faces.pack_choice import PUBLIC_DOMAIN, licence_of

        if judge is not None or name == text.BUNDLED_JUDGE:
            licence = PUBLIC_DOMAIN if judge is None else licence_of(judge)
            return text.judge(name, licence.name, licence.notice)
        card = card_of(name)
        return text.judge(name, card.licence, card.notice)

    def meter(
        self, scene: Scene, checked: ReferenceCheck, judge: FaceEncoder, fps: float
    ) -> DriftMeter:
        """Open a drift meter for one clip of a scene."""
        from idvid.metrics.report import DriftMeter

        names = [character.name for character in scene.characters]
        return DriftMeter(dict(zip(names, checked.references, strict=True)), fps, judge)

    def record(
        self, model: LoadedModel, scene: Scene, settings: GenerationSettings
    ) -> dict[str, Any]:
        """What makes a clip: weights with their commits, and settings."""
        return run_record(model, scene, settings)

    def write_report(
        self, report: DriftReport, record: dict[str, Any], folder: Path
    ) -> tuple[Path, ...]:
        """Write report.json, drift.csv, drift.png and run.json."""
        from idvid.metrics.plots import write_figure
        from idvid.metrics.report import write_csv, write_json

        names = ("report.json", "drift.csv", "drift.png", "run.json")
        files = tuple(folder / name for name in names)
        write_json(report, files[0])
        write_csv(report, files[1])
        write_figure(report, files[2])
        write_run(record, files[3])
        return files

    def write_comparison(self, reports: dict[str, DriftReport], folder: Path) -> Path:
        """Write one figure of several methods' curves, by method."""
        from idvid.metrics.plots import write_comparison

        write_comparison(reports, folder / "comparison.png")
        return folder / "comparison.png"

    def _choice(self, wish: Wish) -> Choice:
        return self.loader.choose(wish.model, wish.extras, is_public=True)

    def _require_judge(self, name: str) -> None:
        if not self.has_judge(name):
            raise InputError(text.not_here(f"The judge {name}"))

    def _load_default(self) -> str:
        try:
            from idvid.faces.embed import load_judge

            load_judge()  # kept by its module; the first run need not wait for it
            for step in self.loader.fetch(choice := self.loader.choose(DEFAULT)):
                self._said = text.download(step)
            self._said = text.LOADING
            if self.loader.current is None:
                for _ in self.loader.hold(choice):
                    pass
                self.release()
        except IdvidError as error:
            return str(error)
        except Exception:
            log.exception("the default model could not be loaded")
            return text.MODEL_FAILED
        return ""

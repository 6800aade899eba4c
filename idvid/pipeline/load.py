"""Any model that idvid runs, read into memory and placed by its device plan."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from idvid.errors import HubError, InputError, ModelError
from idvid.hub import ModelRef, local_path
from idvid.pipeline.extras import ADAPTER, LORA, title_of
from idvid.pipeline.kinds import VACE_KIND
from idvid.runtime import run_with_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from idvid.config import GenerationSettings
    from idvid.faces.quality import ReferenceFace
    from idvid.pipeline.choosing import Choice
    from idvid.pipeline.generate import IdVidPipeline
    from idvid.pipeline.offers import Fit
    from idvid.pipeline.vace import IdVidVacePipeline
    from idvid.runtime import DevicePlan
    from idvid.types import Backend, Scene, StepDone, SteppedDown, WindowDone

    Pipeline = IdVidPipeline | IdVidVacePipeline


MODEL = "model"
_numbers = count(1)
_in_memory: WeakValueDictionary[int, LoadedModel] = WeakValueDictionary()


class LoadedModel:
    """A model in memory, and the plan that it is placed by."""

    def __init__(
        self,
        choice: Choice,
        pipeline: Pipeline,
        plan: DevicePlan | None,
        commits: Mapping[str, str] | None = None,
    ) -> None:
        self.choice, self.pipeline, self.plan = choice, pipeline, plan
        self.commits = commits or {}  # of what comes from the Hub, see `commits_of`
        self.number = next(_numbers)  # names it in this process and in those forked from it
        _in_memory[self.number] = self

    @property
    def backend(self) -> Backend:
        """What it makes."""
        return self.pipeline.backend

    def stream(
        self,
        scene: Scene,
        references: tuple[tuple[ReferenceFace, ...], ...],
        settings: GenerationSettings,
        cancelled: Callable[[], bool],
        before: NDArray[np.uint8] | None = None,
    ) -> Generator[StepDone | WindowDone | SteppedDown, None, None]:
        """The pipeline's events; once more on a lower plan or uncompiled where that is the way out.

        Args:
            scene: prompt, characters, length and seed.
            references: per character, the usable photos with their faces.
            settings: method, strength, steps, guidance.
            cancelled: asked before every step; True ends the stream.
            before: finished frames (T, H, W, 3) that the clip goes on from, in its size and rate.

        Raises:
            InputError: the pipeline refuses the scene, or cannot go on from a video.
            ModelError: memory ran out and no lower plan helped.
        """
        call = partial(self.pipeline.stream, scene, references, settings, cancelled)
        if before is not None:
            self.require_extension()
            call = partial(call, before=before)
        if self.plan is None:
            yield from call()
            return
        from idvid.pipeline.vace_compiled import or_uncompiled  # imports torch

        pipeline: Any = self.pipeline  # only VACE has a plan
        compiled = partial(or_uncompiled, pipeline, self._current_plan, call)
        yield from run_with_plan(self._current_plan, compiled, self.place)

    def _current_plan(self) -> DevicePlan:
        assert self.plan is not None, "only models with a plan ask"
        return self.plan

    def require_extension(self) -> None:
        """Refuse where this model cannot go on from a video.

        Raises:
            InputError: it cannot.
        """
        if not self.backend.can_extend:
            raise InputError(
                f"{self.backend.name} cannot go on from a video; choose a VACE model for that."
            )

    def suited(
        self, settings: GenerationSettings, num_steps: int | None, guidance_scale: float | None
    ) -> GenerationSettings:
        """The settings with steps and guidance as asked for, else as they suit this model."""
        from idvid.pipeline.backend import suited  # imports torch

        return suited(self.backend, settings, num_steps, guidance_scale)

    def place(self, plan: DevicePlan) -> str:
        """Move the weights to where another plan wants them; what else that changes, in a sentence."""
        from idvid.pipeline.vace_load import place_again

        said = place_again(self.pipeline, plan)  # pyright: ignore[reportArgumentType] - only VACE has a plan
        self.plan = plan
        return said


def loaded_model(number: int) -> LoadedModel:
    """The model of a number.

    Raises:
        ModelError: It has left the memory, or came after this process was forked.
    """
    model = _in_memory.get(number)
    if model is None:
        raise ModelError("The model is no longer in memory; start the run again.")
    return model


def load_model(choice: Choice, fit: Fit) -> Pipeline:
    """Read a model that is on this machine into memory.

    Raises:
        ModelError: It is not here, damaged, or of a kind that idvid does not run.
    """
    folder = folder_of(choice)
    if fit.kind != VACE_KIND:
        from idvid.pipeline.generate import load_pipeline

        return load_pipeline(None if folder is None else str(folder))
    from idvid.pipeline.placement import apply_plan, load_arguments  # takes seconds to import
    from idvid.pipeline.vace_load import VaceModel, load_vace

    assert folder is not None
    added = require_added(choice)
    model = VaceModel(
        base=folder,
        adapter=added.get(ADAPTER),
        lora=added.get(LORA),
        lora_file=choice.extras.lora_file,
    )
    if fit.plan is None:
        return load_vace(model, fit.options)
    settle = partial(apply_plan, plan=fit.plan)
    return load_vace(model, fit.options, settle, load_arguments(fit.plan))


def commits_of(choice: Choice) -> dict[str, str]:
    """The commits of a model and of what is added to it, by word; of those from the Hub alone.

    Raises:
        HubError: One of them was never fetched.
    """
    named = ((MODEL, choice.source), *choice.extras.parts)
    return {
        word: local_path(source, offline=True).name
        for word, source in named
        if isinstance(source, ModelRef)
    }


def folder_of(choice: Choice) -> Path | None:
    """Where a model's files are on this machine; None for the bundled one.

    Raises:
        HubError: It was never fetched.
    """
    if not isinstance(choice.source, ModelRef):
        return choice.source
    try:
        return local_path(choice.source, offline=True)
    except HubError as error:
        raise HubError(
            f"The model {choice.title} is not on this machine yet; download it first."
        ) from error


def require_added(choice: Choice) -> dict[str, Path]:
    """Where the files of what is added to a model are on this machine, by their words.

    Raises:
        HubError: They were never fetched.
    """
    found: dict[str, Path] = {}
    for word, source in choice.extras.parts:
        try:
            found[word] = local_path(source, offline=True)
        except HubError as error:
            raise HubError(
                f"The {word} {title_of(source)} is not on this machine yet; download it first."
            ) from error
    return found

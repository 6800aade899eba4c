"""Which model is in memory: one at most, for the page, the API and the command line.

A model is chosen, fetched (which takes no memory and disturbs nobody), then held while it works.
Whoever holds it keeps others from putting another in its place; switching frees the old one before
anything of the new one is read.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from idvid import runtime
from idvid.errors import ModelError
from idvid.hub import ModelRef, fetch
from idvid.pipeline.choosing import choose, choose_public, pick_best
from idvid.pipeline.extras import NOTHING_ADDED, Extras
from idvid.pipeline.load import LoadedModel, commits_of, folder_of, load_model, require_added
from idvid.pipeline.offers import UNKNOWN, Fit, describe, fit_here

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from idvid.hub import DownloadProgress
    from idvid.pipeline.choosing import Choice
    from idvid.pipeline.extras import Addition
    from idvid.pipeline.load import Pipeline
    from idvid.pipeline.offers import Offer
    from idvid.pipeline.vace_options import VaceOptions
    from idvid.runtime import DevicePlan, Machine

POLL_S = 0.25
_KEPT = (
    "This Space keeps {} in memory as it is and cannot load another model, LoRA or adapter; "
    "duplicate it and set IDVID_MODEL there to the one you want."
)
BUSY = "Waiting until the model in memory is free ..."


class Loader:
    """Owns the model in memory."""

    def __init__(
        self,
        options: VaceOptions | None = None,
        load: Callable[[Choice, Fit], Pipeline] = load_model,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            options: What VACE models shall make; None: their defaults.
            load: Reads a model into memory.
        """
        self._options, self._load = options, load
        self._in_use = threading.Lock()
        self._model: LoadedModel | None = None
        self._licences: dict[object, str] = {}  # as the Hub stated them
        self._loading = ""  # a sentence, while somebody loads

    @property
    def current(self) -> LoadedModel | None:
        """The model in memory."""
        return self._model

    def choose(
        self, name: str, extras: Extras = NOTHING_ADDED, *, is_public: bool = False
    ) -> Choice:
        """The model of a name, with what is added to it; a stranger's name opens no folder.

        Raises:
            InputError, HubError: There is none of that name.
            ModelError: IDVID_DEVICE names a device that is not here.
        """
        pick = partial(self._pick, extras)
        return replace((choose_public if is_public else choose)(name, pick), extras=extras)

    def offer(self, choice: Choice) -> Offer:
        """What is to be known of a model before it is fetched or loaded.

        Raises:
            ModelError: idvid does not run models of this kind.
            HubError: Its settings cannot be fetched.
        """
        offer = describe(choice, self._fit(choice))
        if offer.licence == UNKNOWN:  # the cache keeps no licence
            return replace(offer, licence=self._licences.get(choice.source, UNKNOWN))
        self._licences[choice.source] = offer.licence
        return offer

    def is_here(self, choice: Choice) -> bool:
        """Whether all files of a model and of its extras are on this machine."""
        try:
            folder_of(choice)
            require_added(choice)
        except ModelError:
            return False
        return True

    def fetch(self, choice: Choice) -> Generator[DownloadProgress, None, None]:
        """Download what is missing; closing the generator cancels, and what arrived is kept.

        Raises:
            ModelError: It does not fit this machine, so that nothing was fetched.
            HubError: The Hub did not give it.
        """
        self.require_loadable(choice)
        self._fitting(choice)
        for source in (choice.source, *(source for _, source in choice.extras.parts)):
            if isinstance(source, ModelRef):
                yield from fetch(source)

    def hold(self, choice: Choice) -> Generator[str, None, LoadedModel]:
        """Load a model unless it is the one in memory, and keep it until `release`.

        Yields:
            What is being waited for, in a sentence.

        Raises:
            ModelError: It is not here, damaged, or does not fit; nothing is held then, and what
                was in memory stays there unless the loading itself failed.
        """
        self.require_loadable(choice)
        while not self._in_use.acquire(timeout=POLL_S):
            yield self._loading or BUSY
        try:
            if self._model is None or not self._model.choice.is_same(choice):
                folder_of(choice)
                self._fitting(choice)
                require_added(choice)
                self._loading = f"Loading {choice.title} ..."
                yield self._loading
                self._model = self._switch(choice)
        except BaseException:
            self._in_use.release()
            raise
        finally:
            self._loading = ""
        return self._model

    def release(self) -> None:
        """Let others have the model that `hold` gave, or another."""
        self._in_use.release()

    def require_loadable(self, choice: Choice) -> None:
        """Refuse another model, or other extras, where the one in memory has to stay.

        The GPU workers of a ZeroGPU Space are forked from this process with what it held at the
        start; a model that comes later would be missing in them.

        Raises:
            ModelError: This is a ZeroGPU Space, and it has another.
        """
        held = self._model and self._model.choice
        if held is not None and not held.is_same(choice) and runtime.on_zero_gpu():
            raise ModelError(_KEPT.format(held.title))

    def _switch(self, choice: Choice) -> LoadedModel:
        self._model = None
        runtime.give_back()
        fit = self._fitting(choice)  # once more, by the memory that is free now
        commits = commits_of(choice)
        return LoadedModel(choice, self._load(choice, fit), fit.plan, commits)

    def _fitting(self, choice: Choice) -> Fit:
        fit = self._fit(choice)
        if fit.problem:
            raise ModelError(fit.problem)
        return fit

    def _fit(self, choice: Choice) -> Fit:
        fit = fit_here(choice, self._machine(), self._options)
        return replace(fit, added=tuple(self._with_licence(part) for part in fit.added))

    def _with_licence(self, part: Addition) -> Addition:
        """With the licence that was stated before it was here; the cache keeps none."""
        if part.licence is not None:
            self._licences[part.title] = part.licence
        return replace(part, licence=part.licence or self._licences.get(part.title))

    def _pick(self, extras: Extras) -> Choice:
        machine = self._machine()

        def plan_of(choice: Choice) -> DevicePlan | None:
            return fit_here(replace(choice, extras=extras), machine, self._options).plan

        return pick_best(machine, plan_of)

    def _machine(self) -> Machine:
        """What is free, or will be once the model in memory has gone."""
        machine = runtime.this_machine()
        if self._model is None:
            return machine
        gpus, ram = held_bytes(self._model.pipeline, len(machine.gpu_free))
        return replace(
            machine,
            gpu_free=tuple(f + h for f, h in zip(machine.gpu_free, gpus, strict=True)),
            ram_free=machine.ram_free + ram,
        )


def held_bytes(pipeline: Pipeline, num_gpus: int) -> tuple[tuple[int, ...], int]:
    """What a pipeline's weights take: bytes on each GPU, and in main memory."""
    import torch

    gpus, ram = [0] * num_gpus, 0
    parts = [p for p in pipeline.components.values() if isinstance(p, torch.nn.Module)]
    for tensor in (t for part in parts for t in (*part.parameters(), *part.buffers())):
        size = tensor.numel() * tensor.element_size()
        if tensor.is_cuda and tensor.device.index < num_gpus:
            gpus[tensor.device.index] += size
        else:
            ram += size
    return tuple(gpus), ram

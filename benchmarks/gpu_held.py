"""The models that the GPU benchmark holds: built when first needed, let go before larger ones.

Whoever moved or changed weights lets them go: fresh ones are as fast to build as to move back, equal
to the old ones, and free of hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu_models import build
from benchmarks.gpu_plans import footprint_of, whole_plan
from benchmarks.gpu_record import clear
from benchmarks.gpu_scene import scheduler, tokenizer
from benchmarks.gpu_steps import Bench
from benchmarks.gpu_whole import WholeRuns
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmarks.gpu_models import Size
    from benchmarks.gpu_record import Record
    from idvid.runtime import Footprint

    Place = tuple[torch.device, torch.dtype]


class NotBuiltError(RuntimeError):
    """A model could not be built; the record says why already."""


class Models:
    """The small VACE model's transformer, and the components that all models share."""

    def __init__(self, size: Size, place: Place, record: Record) -> None:
        self.size, self.place, self.record = size, place, record
        self.small, self.large, self.large_vace = size.models
        self.device = place[0]
        self._vace: Bench | None = None
        self._others: dict[str, Any] = {}
        self._runs: WholeRuns | None = None
        self._drawn: list[NDArray[np.uint8]] = []

    def vace(self) -> Bench:
        """The small model, on the GPU.

        Raises:
            NotBuiltError: if it could not be built.
        """
        if self._vace is None:
            self._vace = self.bench(self.small)
        elif self._vace.transformer is None:
            self._attempt(f"{self.small}, build again", self._vace.renew)
        return self._vace

    def bench(self, model: str) -> Bench:
        """A fresh transformer whose operations are counted.

        Raises:
            NotBuiltError: if it could not be built.
        """
        made: list[Bench] = []

        def act() -> None:
            made.append(Bench(model, self.size, self.place, self.record))

        self._attempt(f"{model}, build", act)
        self.record.attempt(f"{model}, operations", made[0].expected(), made[0].count)
        return made[0]

    def with_others(self, transformer: Any) -> dict[str, Any]:  # noqa: ANN401 - Wan's
        """A pipeline's components around a transformer, all on the GPU.

        Raises:
            NotBuiltError: if one could not be built.
        """
        if not self._others:
            what = "text encoder and VAE"
            self._attempt(what, lambda: self._others.update(self._fresh_others()), times=2)
        return {**self._others, TRANSFORMER: transformer}

    def runs(self) -> WholeRuns:
        """Whole runs of the small model.

        Raises:
            NotBuiltError: if a component could not be built.
        """
        vace = self.vace()
        if self._runs is None:
            shared = self.with_others(vace.transformer)
            plan = whole_plan(self.footprint(vace.model, shared), self.device)
            planned = max(plan.peak_vram, default=0)
            self._runs = WholeRuns(vace, shared, planned, self._drawn)
            seconds = self.size.guesses.coding / 4
            self.record.attempt("whole runs, warm up", seconds, self._runs.warm_up)
        return self._runs

    def footprint(self, model: str, shared: dict[str, Any]) -> Footprint:
        """What a model takes, by its components as they were built."""
        parts = {name: shared[name] for name in (TEXT_ENCODER, TRANSFORMER, VAE)}
        return footprint_of(model, parts, self.size)

    def free_transformer(self) -> None:
        """Make room for a large one; what was found with the small one is kept."""
        self._runs = None
        if self._vace is not None:
            self._vace.transformer = None
        torch.compiler.reset()  # graphs hold what they were compiled for
        clear()

    def free(self) -> None:
        """Let all go."""
        self._others = {}
        self.free_transformer()

    def _attempt(self, what: str, act: Any, times: int = 1) -> None:  # noqa: ANN401 - a function
        if self.record.attempt(what, times * self.size.guesses.build, act):
            raise NotBuiltError(what)

    def _fresh_others(self) -> dict[str, Any]:
        config, (device, dtype) = self.size.models[self.small], self.place
        return {
            TEXT_ENCODER: build(config[TEXT_ENCODER], device, dtype),
            VAE: build(config[VAE], device, torch.float32),
            "tokenizer": tokenizer(),
            "scheduler": scheduler(),
        }

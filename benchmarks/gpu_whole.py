"""Whole runs of the GPU benchmark: the stock VACE pipeline and ours on the same weights and noise."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import WanVACEPipeline

from benchmarks.gpu_arms import Arm, held, measured, one_pass, prepared
from benchmarks.gpu_plans import on_gpu
from benchmarks.gpu_record import Whole
from benchmarks.gpu_scene import references, scene_of, vace_options
from idvid.conditioning.prompt import plain_prompt
from idvid.config import GenerationSettings
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_prepare import NEGATIVE_PROMPT, portraits
from idvid.runtime import GIB
from idvid.types import StepDone, WindowDone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.gpu_steps import Bench
    from idvid.pipeline.vace_options import VaceOptions

GUIDANCE = 5.0
_FULL_OF_30 = 13  # TaylorSeer computes the first four steps in full, then every third


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One whole run."""

    name: str
    steps: int
    is_ours: bool
    options: VaceOptions
    guidance: float = GUIDANCE

    @property
    def is_like_stock(self) -> bool:
        """Whether it should draw what the stock pipeline draws."""
        return self.guidance == GUIDANCE


class WholeRuns:
    """The stock pipeline and ours on shared components that lie on the GPU for good."""

    def __init__(
        self,
        bench: Bench,
        shared: dict[str, Any],
        planned: int,
        drawn: list[NDArray[np.uint8]],
    ) -> None:
        """Keep what stock draws in `drawn`, which outlives the weights."""
        self.drawn = drawn
        self.model, self.size, self.record = bench.model, bench.size, bench.record
        self.values, self.planned = bench.values, planned
        self.shared, self.device = shared, shared["vae"].device
        self.stock, self.ours = WanVACEPipeline(**shared), IdVidVacePipeline(**shared)
        self.stock.set_progress_bar_config(disable=True)
        self.ours.options = vace_options(bench.size)

    def run(self, run: Run) -> None:
        """Carry a run out and note it."""
        ends: list[float] = []
        made: list[NDArray[np.uint8]] = []
        transformer = self.shared["transformer"]
        beside = held(self.device) - on_gpu(self.shared)
        with prepared(transformer, Arm(name=run.name, options=run.options), self.size):
            if run.options.compile_backend is not None:
                one_pass(transformer, self.values)  # what compiles does so before the clock runs
            seconds, peak = measured(self.device, lambda: made.append(self._frames(run, ends)))
        if run.name == "stock":
            self.drawn[:] = made
        gaps = tuple(late - early for early, late in pairwise(ends))
        is_plain = run.options.cache == "none"
        self.record.found.whole.append(
            Whole(
                model=self.model,
                arm=run.name,
                steps=run.steps,
                guidance=run.guidance,
                seconds=seconds,
                step_seconds=gaps,
                seconds_at_30=at_30(seconds, gaps, cached=not is_plain),
                peak_gib=(peak - beside) / GIB if peak else None,
                planned_gib=self.planned / GIB if self.planned and is_plain else None,
                difference=self._difference(made[0]) if run.is_like_stock else None,
            )
        )

    def warm_up(self) -> None:
        """One step of a short video of that size, so that no run pays for loading kernels."""
        self._stock(1, 5, [])

    def _frames(self, run: Run, ends: list[float]) -> NDArray[np.uint8]:
        if run.is_ours:
            return self._ours(run, ends)
        return self._stock(run.steps, self.size.request.num_frames, ends)

    def _stock(self, steps: int, num_frames: int, ends: list[float]) -> NDArray[np.uint8]:
        scene = scene_of(self.size)

        def ended(*args: Any) -> dict[str, Any]:  # noqa: ANN401 - diffusers' callback
            ends.append(now())
            return args[-1]

        done: Any = self.stock(
            prompt=plain_prompt(scene.prompt, scene.characters),
            negative_prompt=NEGATIVE_PROMPT,
            reference_images=[portraits(references())],
            height=self.size.request.height,
            width=self.size.request.width,
            num_frames=num_frames,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(scene.seed),
            callback_on_step_end=ended,
        )
        return (done.frames[0] * 255).round().astype(np.uint8)

    def _ours(self, run: Run, ends: list[float]) -> NDArray[np.uint8]:
        settings = GenerationSettings(num_steps=run.steps, guidance_scale=run.guidance)
        frames: list[NDArray[np.uint8]] = []
        for event in self.ours.stream(scene_of(self.size), references(), settings):
            if isinstance(event, StepDone):
                ends.append(now())
            if isinstance(event, WindowDone):
                frames.append(event.frames)
        return np.concatenate(frames)

    def _difference(self, made: NDArray[np.uint8]) -> float | None:
        if not self.drawn:
            return None
        return float(np.abs(made.astype(np.int16) - self.drawn[0]).mean())


def at_30(seconds: float, gaps: tuple[float, ...], *, cached: bool) -> float:
    """This run with 30 steps; gaps are the seconds of its second step and those after it."""
    full = statistics.median(gaps[:3])  # a cache has not begun to predict yet
    rest = max(0.0, seconds - sum(gaps) - full)  # text, pixels to latents and back
    if not cached:
        return rest + 30 * statistics.median(gaps)
    return rest + _FULL_OF_30 * full + (30 - _FULL_OF_30) * min(gaps)


def now() -> float:
    """The time when the GPU is done with what it was told so far."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()

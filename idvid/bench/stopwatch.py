"""Where the pipeline's time goes, stage by stage, and how much arithmetic each stage does."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from idvid.pipeline.generate import IdVidPipeline

STAGES = ("prepare", "plan", "condition", "decode")
STEP = "denoise, per step"


class Stopwatch:
    """Adds up wall seconds, calls and floating-point operations of named stages.

    Counting operations slows everything down, so a watch either times or counts.
    """

    def __init__(self, *, counts_flops: bool = False) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.flops: dict[str, int] = defaultdict(int)
        self._counts_flops = counts_flops

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is done inside belongs to a stage."""
        counter = _flop_counter() if self._counts_flops else None
        start = time.perf_counter()
        if counter is None:
            yield
        else:
            with counter:
                yield
            self.flops[name] += counter.get_total_flops()
        self.seconds[name] += time.perf_counter() - start
        self.calls[name] += 1

    @contextmanager
    def on(self, pipeline: IdVidPipeline) -> Iterator[None]:
        """Watch the stages of a pipeline for a while."""
        for name in STAGES:
            _replace(pipeline, name, self._watched(name, getattr(pipeline, name)))
        _replace(pipeline, "denoise", self._watched_steps(pipeline.denoise))
        try:
            yield
        finally:
            for name in (*STAGES, "denoise"):
                object.__delattr__(pipeline, name)

    def _watched(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def watched(*arguments: object) -> object:
            with self.stage(name):
                return function(*arguments)

        return watched

    def _watched_steps(
        self, generator: Callable[..., Iterator[object]]
    ) -> Callable[..., Generator[object, None, object]]:
        def watched(*arguments: object) -> Generator[object, None, object]:
            steps = generator(*arguments)
            while True:
                try:
                    with self.stage(STEP):
                        step = next(steps)
                except StopIteration as end:
                    return end.value
                yield step

        return watched


def matrix_rate(dtype: torch.dtype, size: int = 1536, repeats: int = 6) -> float:
    """Floating-point operations a second of this machine's matrix product: the best of some."""
    left, right = torch.randn(2, size, size).to(dtype)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _replace(pipeline: IdVidPipeline, name: str, value: object) -> None:
    object.__setattr__(pipeline, name, value)


def _flop_counter() -> FlopCounterMode:
    """Torch's counter, told of the CPU's attention kernel, which it does not know."""

    def attention(
        query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
    ) -> int:
        return sdpa_flop_count(query, key, value)

    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={kernel: attention})

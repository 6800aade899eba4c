"""Device plans of the GPU benchmark, carried out on a large GPU as if it were a small one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu_arms import held, measured
from benchmarks.gpu_record import PlanRow, clear
from benchmarks.gpu_scene import references, scene_of, vace_options
from idvid.config import GenerationSettings
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.planning import BarePipeline
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.runtime import GIB, VAE, Machine, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.gpu_models import Size
    from benchmarks.gpu_record import Record
    from idvid.runtime import DevicePlan, Footprint

CARD = 24 * 10**9  # bytes; the fallbacks of its plan are those of smaller cards
RAM = 64 * 10**9
# Which come first: those that tell most; and of two alike, the one that finds weights page-locked.
_WORTH = ("group-offload", "encoder-stream", "encoder-off", "model-offload", "gpu")
_FIRST, _LAST = 3, 2  # chunks of a video that are computed: caches are full in the third


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A plan to carry out."""

    plan: DevicePlan
    shared: dict[str, Any]  # components of a VACE pipeline
    is_placed: bool = False  # everything lies on the GPU already, as the plan wants it
    beside: int | None = None  # bytes on the GPU that are not the pipeline's; None: counted


def footprint_of(model: str, parts: Mapping[str, Any], size: Size) -> Footprint:
    """What the model takes; taken while its weights are as they were loaded."""
    return BarePipeline(name=model, parts=parts).footprint(size.request)


def whole_plan(footprint: Footprint, device: torch.device, quantise: str = "none") -> DevicePlan:
    """The plan of this GPU as if nothing lay on it.

    Of a CPU, the one without a GPU; quantised, for which there is none, that of a card of 24 GB.
    """
    gpus = (CARD,) if quantise != "none" else ()
    if device.type == "cuda":
        gpus = (torch.cuda.mem_get_info(device)[1],)
    return make_plan(footprint, Machine(gpu_free=gpus, ram_free=RAM), quantise)


def plans_of(footprint: Footprint, quantise: str = "none") -> list[DevicePlan]:
    """The plans of a card of 24 GB and smaller ones, those first that tell most."""
    best = make_plan(footprint, Machine(gpu_free=(CARD,), ram_free=RAM), quantise)
    return sorted((best, *best.fallbacks), key=lambda plan: _WORTH.index(plan.name))


def carry_out(record: Record, trial: Trial, size: Size, device: torch.device) -> None:
    """Run one step without guidance under a plan, and note its peak beside the expected one."""
    plan, shared = trial.plan, trial.shared
    pipeline = IdVidVacePipeline(**shared)
    pipeline.options = vace_options(size)
    if not trial.is_placed:
        apply_plan(pipeline, plan, device)
    clear()
    beside = held(device) - on_gpu(shared) if trial.beside is None else trial.beside
    with few_chunks(shared[VAE], size.request.latent_frames):
        seconds, peak = measured(device, lambda: _one_step(pipeline, size))
    reserved = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
    planned, peak = max(plan.peak_vram, default=0), peak - beside
    record.found.plans.append(
        PlanRow(
            model=plan.model,
            plan=plan.name,
            quantise=plan.quantise,
            tiled=plan.layout.tiled,
            planned_gib=planned / GIB,
            peak_gib=peak / GIB if peak > 0 else None,
            reserved_gib=reserved / GIB if reserved else None,
            of_peak=planned / peak if peak > 0 else None,
            seconds=seconds,
        )
    )


def on_gpu(shared: dict[str, Any]) -> int:
    """Bytes of the pipeline's own weights on the GPU, each counted once; none may be quantised."""
    parts = [part for part in shared.values() if isinstance(part, torch.nn.Module)]
    tensors = {t for part in parts for t in (*part.parameters(), *part.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors if t.device.type == "cuda")


@contextmanager
def few_chunks(vae: Any, chunks: int) -> Iterator[None]:  # noqa: ANN401 - Wan's
    """The autoencoder computes the first three chunks of a video and the last two alone.

    A chunk takes as much memory as the one before, but for the frames that are done, which are
    most at the last; so the peak is that of a true run, at a quarter of its time.
    """
    halves = (vae.encoder, vae.decoder)
    for half in halves:
        half.forward = _first_and_last(half.forward, chunks)
    try:
        yield
    finally:
        for half in halves:
            del half.forward


def _first_and_last(
    forward: Callable[..., torch.Tensor], chunks: int
) -> Callable[..., torch.Tensor]:
    """A forward pass of one chunk that gives zeros for those in the middle."""
    index, shape = 0, torch.Size()

    def run(x: torch.Tensor, **state: Any) -> torch.Tensor:  # noqa: ANN401
        nonlocal index, shape
        index = 0 if state["feat_cache"][0] is None else index + 1  # it is empty at the first
        if _FIRST <= index < chunks - _LAST:
            return x.new_zeros(shape)
        made = forward(x, **state)
        shape = made.shape
        return made

    return run


def _one_step(pipeline: IdVidVacePipeline, size: Size) -> None:
    settings = GenerationSettings(num_steps=1, guidance_scale=1.0)
    for _ in pipeline.stream(scene_of(size), references(), settings):
        pass

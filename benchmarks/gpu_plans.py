"""Device plans of the GPU benchmark, carried out on a large GPU as if it were a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers import WanVACEPipeline

from benchmarks.gpu_arms import held, measured
from benchmarks.gpu_record import PlanRow, clear
from benchmarks.gpu_scene import references
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.planning import BarePipeline
from idvid.pipeline.vace_prepare import portraits
from idvid.runtime import GIB, Machine, make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.gpu_models import Size
    from benchmarks.gpu_record import Record
    from idvid.runtime import DevicePlan, Footprint

CARD = 24 * 10**9  # bytes; the fallbacks of its plan are those of smaller cards
RAM = 64 * 10**9
_WORTH = ("encoder-off", "group-offload", "model-offload", "encoder-stream", "gpu")


def footprint_of(model: str, parts: Mapping[str, Any], size: Size) -> Footprint:
    """What the model takes; taken while its weights are as they were loaded."""
    return BarePipeline(name=model, parts=parts).footprint(size.request)


def plans_of(footprint: Footprint, quantise: str = "none") -> list[DevicePlan]:
    """The plans of a card of 24 GB and smaller ones, those first that tell most."""
    best = make_plan(footprint, Machine(gpu_free=(CARD,), ram_free=RAM), quantise)
    return sorted((best, *best.fallbacks), key=lambda plan: _WORTH.index(plan.name))


def carry_out(
    record: Record, shared: dict[str, Any], plan: DevicePlan, size: Size, device: torch.device
) -> None:
    """Run one step without guidance under a plan, and note its peak beside the expected one."""
    pipeline = WanVACEPipeline(**shared)
    pipeline.set_progress_bar_config(disable=True)
    apply_plan(pipeline, plan, device)
    clear()
    beside = held(device) - on_gpu(shared)

    def run() -> None:
        pipeline(
            prompt="a woman and a man talk",
            reference_images=[portraits(references())],
            height=size.request.height,
            width=size.request.width,
            num_frames=size.request.num_frames,
            num_inference_steps=1,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            output_type="pt",
        )

    seconds, peak = measured(device, run)
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
    """Bytes of the pipeline's own weights on the GPU, each counted once."""
    parts = [part for part in shared.values() if isinstance(part, torch.nn.Module)]
    tensors = {t for part in parts for t in (*part.parameters(), *part.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors if t.device.type == "cuda")

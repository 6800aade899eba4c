"""The large models of the GPU benchmark as whole pipelines, beside what their plans expect."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from diffusers import WanPipeline

from benchmarks.gpu_arms import held, identity_of, measured, people_arm, prepared, with_identity
from benchmarks.gpu_plans import Trial, carry_out, on_gpu, whole_plan
from benchmarks.gpu_record import Whole, clear
from benchmarks.gpu_steps import STOCK
from benchmarks.gpu_whole import at_30, now
from idvid.runtime import GIB

if TYPE_CHECKING:
    from benchmarks.gpu_arms import Arm
    from benchmarks.gpu_held import Models
    from benchmarks.gpu_steps import Bench
    from idvid.models.wan_attention import WanIdentity

STEPS = 2
_NO_GUIDANCE = 1.0


def t2v_whole(models: Models) -> None:
    """Text to video as a whole, stock and with identity layers."""
    models.free_transformer()
    bench = models.bench(models.large)
    shared = models.with_others(bench.transformer)
    plain = models.footprint(bench.model, shared)
    added = with_identity(plain, bench.transformer, models.size)
    seconds = STEPS * bench.expected() + models.size.guesses.coding
    for arm, footprint in ((STOCK, plain), (people_arm(2), added)):
        planned = max(whole_plan(footprint, models.device).peak_vram, default=0)
        models.record.attempt(
            f"whole run, {bench.model}, {arm.name}",
            seconds,
            lambda a=arm, p=planned: _run(bench, shared, a, p),
        )


def vace_whole(models: Models) -> None:
    """The large VACE model: a pass, and one step of a whole run under its plan."""
    models.free_transformer()
    bench = models.bench(models.large_vace)
    bench.turns((STOCK,))
    shared = models.with_others(bench.transformer)
    plan = whole_plan(models.footprint(bench.model, shared), models.device)
    trial = Trial(plan=plan, shared=shared, is_placed=True)
    models.record.attempt(
        f"plan {plan.name}, {bench.model}",
        bench.expected() + models.size.guesses.coding / 2,
        lambda: carry_out(models.record, trial, models.size, models.device),
    )


def _run(bench: Bench, shared: dict[str, Any], arm: Arm, planned: int) -> None:
    pipeline = WanPipeline(**shared)
    pipeline.set_progress_bar_config(disable=True)
    ends: list[float] = []
    clear()
    beside = held(bench.device) - on_gpu(shared)
    with prepared(bench.transformer, arm, bench.size):
        identity = identity_of(bench.values, arm.people, bench.size)
        seconds, peak = measured(bench.device, lambda: _draw(bench, pipeline, identity, ends))
    gaps = tuple(late - early for early, late in pairwise(ends))
    bench.record.found.whole.append(
        Whole(
            model=bench.model,
            arm=arm.name,
            steps=STEPS,
            guidance=_NO_GUIDANCE,
            seconds=seconds,
            step_seconds=gaps,
            seconds_at_30=at_30(seconds, gaps, cached=False),
            peak_gib=(peak - beside) / GIB if peak else None,
            planned_gib=planned / GIB if planned else None,
            difference=None,  # identity layers with open gates are to change the picture
        )
    )


def _draw(
    bench: Bench, pipeline: WanPipeline, identity: WanIdentity | None, ends: list[float]
) -> None:
    def ended(*args: Any) -> dict[str, Any]:  # noqa: ANN401 - diffusers' callback
        ends.append(now())
        return args[-1]

    request = bench.size.request
    pipeline(
        prompt="a woman and a man talk",
        height=request.height,
        width=request.width,
        num_frames=request.num_frames,
        num_inference_steps=STEPS,
        guidance_scale=_NO_GUIDANCE,
        generator=torch.Generator().manual_seed(0),
        attention_kwargs=None if identity is None else {"identity": identity},
        callback_on_step_end=ended,
    )

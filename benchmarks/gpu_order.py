"""What the GPU benchmark measures, in the order of worth, and what it expects each piece to take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu_arms import compiled_arm, matrix_rate, people_arm
from benchmarks.gpu_models import build
from benchmarks.gpu_plans import RAM, carry_out, footprint_of, plans_of
from benchmarks.gpu_record import clear
from benchmarks.gpu_scene import scheduler, tokenizer
from benchmarks.gpu_steps import CHEAP_ARMS, CUDNN, RARE_ARMS, STOCK, Bench, errors
from benchmarks.gpu_whole import GUIDANCE, Run, WholeRuns
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE, Machine, make_plan

if TYPE_CHECKING:
    from benchmarks.gpu_arms import Arm
    from benchmarks.gpu_models import Size
    from benchmarks.gpu_record import Record
    from idvid.runtime import DevicePlan, Footprint

    Place = tuple[torch.device, torch.dtype]

_FLOAT32_PASS = 14.0  # times a pass in bfloat16
_PLAIN = VaceOptions()


def measure(size: Size, place: Place, record: Record) -> None:
    """Everything, what tells most first."""
    record.attempt("matrix product", 0, lambda: _ceiling(size, place, record))
    small, large = size.models
    vace = _bench(small, size, place, record)
    if vace is None:
        _large(large, size, place, record)
        return
    for arm in CHEAP_ARMS:
        vace.turns((STOCK, arm))
    vace.turns((STOCK, CHEAP_ARMS[0], STOCK, CUDNN, *RARE_ARMS))
    _errors(vace, size.reference_frames, _uncompiled(vace))
    _large(large, size, place, record)
    _pipelines(vace, _fastest(vace))


def _fastest(vace: Bench) -> VaceOptions:
    """The ways to be faster that work and leave the picture alone: a kernel, and compiling."""
    kernel = vace.best((STOCK, CUDNN)).options.attention_backend
    tries = [compiled_arm(vace.size, k) for k in dict.fromkeys((kernel, None))]
    for arm in tries:
        vace.turns((STOCK,))
        vace.turns((arm,), passes=2)
        if vace.works(arm):
            break
    return vace.best((STOCK, CUDNN, *tries)).options


def _uncompiled(vace: Bench) -> tuple[Arm, ...]:
    """Arms that should draw what the stock model draws."""
    arms = (STOCK, people_arm(2, gate=0.0), CUDNN)
    return arms if vace.works(CUDNN) else arms[:2]


def _ceiling(size: Size, place: Place, record: Record) -> None:
    record.found.matrix_tflops = matrix_rate(*place, size.matrix) / 1e12


def _bench(model: str, size: Size, place: Place, record: Record) -> Bench | None:
    """A transformer whose operations are counted; None if it could not be built."""
    made: list[Bench] = []
    what, expected = f"{model}, build", size.guesses.build
    if record.attempt(what, expected, lambda: made.append(Bench(model, size, place, record))):
        return None
    record.attempt(f"{model}, operations", made[0].expected(), made[0].count)
    return made[0]


def _large(model: str, size: Size, place: Place, record: Record) -> None:
    """The large model's passes take seconds, so there are few."""
    bench = _bench(model, size, place, record)
    if bench is not None:
        bench.turns((STOCK, people_arm(2), CUDNN, STOCK))
    del bench
    clear()


def _errors(bench: Bench, frames: int, arms: tuple[Arm, ...]) -> None:
    share = frames / bench.size.request.num_frames
    expected = share * (_FLOAT32_PASS + len(arms)) * bench.expected() + bench.size.guesses.build
    what = f"{bench.model}, error against float32, {frames} frames"
    bench.record.attempt(what, expected, lambda: errors(bench, frames, arms))


def _pipelines(vace: Bench, options: VaceOptions) -> None:
    """Whole runs, plans of smaller cards, and then what else there is time for."""
    shared: dict[str, Any] = {TRANSFORMER: vace.transformer}
    guesses, record = vace.size.guesses, vace.record
    building = 2 * guesses.build
    if record.attempt("text encoder and VAE", building, lambda: shared.update(_others(vace))):
        return
    parts = {name: shared[name] for name in (TEXT_ENCODER, TRANSFORMER, VAE)}
    footprint = footprint_of(vace.model, parts, vace.size)
    whole = make_plan(footprint, _whole_card(vace.device))
    runs = WholeRuns(vace, shared, max(whole.peak_vram, default=0))
    record.attempt("whole runs, warm up", guesses.coding / 4, runs.warm_up)
    _main_runs(vace, runs, options)
    _plans(vace, shared, plans_of(footprint))

    def put_back() -> None:
        apply_plan(runs.stock, whole, vace.device)

    if record.attempt("all weights back on the GPU", guesses.moving, put_back):
        return  # what follows would be slow, and mean nothing
    _extras(vace, runs, options)
    if vace.transformer.dtype == torch.bfloat16:
        _plans(vace, shared, _in_fp8(footprint))


def _main_runs(vace: Bench, runs: WholeRuns, options: VaceOptions) -> None:
    steps = vace.size.whole_steps
    _run(vace, runs, Run(name="stock", steps=steps, is_ours=False, options=_PLAIN))
    _run(vace, runs, Run(name="ours", steps=steps, is_ours=True, options=options))
    _cached(vace, runs, options)


def _extras(vace: Bench, runs: WholeRuns, options: VaceOptions) -> None:
    """Few steps, how much of a difference is rounding, and identity attention compiled."""
    few = vace.size.few_steps
    run = Run(name="ours, few steps", steps=few, is_ours=True, options=options, guidance=1.0)
    _run(vace, runs, run)
    ours = [compiled_arm(vace.size, options.attention_backend)] if options.compile_backend else []
    _errors(vace, vace.size.request.num_frames, (*_uncompiled(vace), *ours))
    steps = vace.size.whole_steps
    if vace.works(CUDNN):
        run = Run(name="stock, cuDNN", steps=steps, is_ours=False, options=CUDNN.options)
        _run(vace, runs, run)
    if options.compile_backend:
        vace.turns((STOCK, compiled_arm(vace.size, options.attention_backend, people=2)), passes=2)


def _run(vace: Bench, runs: WholeRuns, run: Run) -> str:
    passes = run.steps * (2 if run.guidance == GUIDANCE else 1)
    expected = passes * vace.expected() + vace.size.guesses.coding
    return vace.record.attempt(f"whole run, {run.name}", expected, lambda: runs.run(run))


def _cached(vace: Bench, runs: WholeRuns, options: VaceOptions) -> None:
    """TaylorSeer, compiled if that works together."""
    cached = replace(options, cache="taylorseer")
    ways = (cached, replace(cached, compile_backend=None)) if cached.compile_backend else (cached,)
    for way in ways:
        name = "ours, TaylorSeer" if way is ways[0] else "ours, TaylorSeer, not compiled"
        run = Run(name=name, steps=vace.size.whole_steps, is_ours=True, options=way)
        why = _run(vace, runs, run)
        if not why or why.startswith("no time"):
            return


def _plans(vace: Bench, shared: dict[str, Any], plans: list[DevicePlan]) -> None:
    guesses, record = vace.size.guesses, vace.record
    expected = guesses.coding + guesses.moving + vace.expected()
    for plan in plans:
        kind = "" if plan.quantise == "none" else f" in {plan.quantise}"
        record.attempt(
            f"plan {plan.name}{kind}",
            expected,
            lambda p=plan: carry_out(record, shared, p, vace.size, vace.device),
        )


def _in_fp8(footprint: Footprint) -> list[DevicePlan]:
    """fp8's plan for a card of 24 GB; what the weights were is lost with it, so it comes last."""
    return [p for p in plans_of(footprint, "fp8") if p.name in ("gpu", "model-offload")]


def _others(vace: Bench) -> dict[str, Any]:
    config = vace.size.models[vace.model]
    return {
        TEXT_ENCODER: build(config[TEXT_ENCODER], vace.device, vace.transformer.dtype),
        VAE: build(config[VAE], vace.device, torch.float32),
        "tokenizer": tokenizer(),
        "scheduler": scheduler(),
    }


def _whole_card(device: torch.device) -> Machine:
    """This GPU as if nothing lay on it; of a CPU, a machine without a GPU."""
    if device.type != "cuda":
        return Machine(gpu_free=(), ram_free=RAM)
    return Machine(gpu_free=(torch.cuda.mem_get_info(device)[1],), ram_free=RAM)

"""What the GPU benchmark measures, part by part, and what it expects each piece to take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.gpu_arms import compiled_arm, matrix_rate, people_arm
from benchmarks.gpu_held import Models, NotBuiltError
from benchmarks.gpu_large import t2v_whole, vace_whole
from benchmarks.gpu_plans import Trial, carry_out, plans_of, whole_plan
from benchmarks.gpu_quantised import quantised
from benchmarks.gpu_record import clear
from benchmarks.gpu_steps import CHEAP_ARMS, CUDNN, RARE_ARMS, STOCK, errors
from benchmarks.gpu_whole import GUIDANCE, Run
from idvid.pipeline.vace_options import VaceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.gpu_arms import Arm
    from benchmarks.gpu_held import Place
    from benchmarks.gpu_models import Size
    from benchmarks.gpu_record import Record
    from benchmarks.gpu_steps import Bench
    from benchmarks.gpu_whole import WholeRuns
    from idvid.runtime import DevicePlan

_FLOAT32_PASS = 14.0  # times a pass in bfloat16
_SHORT_CODING = 0.5  # of a whole run's: most of the autoencoder's work is left out
_PLAIN = VaceOptions()


def measure(size: Size, place: Place, record: Record, parts: Sequence[str]) -> None:
    """The parts in their order; one that fails is listed, and the next one goes on."""
    models = Models(size, place, record)
    record.attempt("matrix product", 0, lambda: _ceiling(size, place, record))
    for name in parts:
        record.attempt(f"part {name}", 0, lambda part=PARTS[name]: _part(part, models))


def _part(act: Callable[[Models], None], models: Models) -> None:
    try:
        act(models)
    except NotBuiltError as error:  # it is in the record already
        models.record.say(f"the rest of the part is left out, for want of: {error}")
    finally:
        clear()


def _ceiling(size: Size, place: Place, record: Record) -> None:
    record.found.matrix_tflops = matrix_rate(*place, size.matrix) / 1e12


def _passes(models: Models) -> None:
    vace = models.vace()
    for arm in CHEAP_ARMS:
        vace.turns((STOCK, arm))
    vace.turns((STOCK, CHEAP_ARMS[0], STOCK, CUDNN, *RARE_ARMS))


def _errors(models: Models) -> None:
    """On a short video, where float32 is quick."""
    vace = models.vace()
    _compare(vace, models.size.reference_frames, _uncompiled(vace))


def _errors_whole(models: Models) -> None:
    """At the full length, for which graphs may have been compiled."""
    vace = models.vace()
    graphs = [arm for arm in _compiled(vace) if vace.works(arm)][:1]
    _compare(vace, models.size.request.num_frames, (*_uncompiled(vace), *graphs))


def _errors_compiled(models: Models) -> None:
    """Compiled for the short video."""
    vace = models.vace()
    graphs, seconds = _compiled(vace)[:1], models.size.guesses.compile
    _compare(vace, models.size.reference_frames, graphs, seconds)


def _large(models: Models) -> None:
    """The large model's passes take seconds, so there are few."""
    bench = models.bench(models.large)
    bench.turns((STOCK, people_arm(2), CUDNN, STOCK))


def _whole(models: Models) -> None:
    """Stock, ours, and ours for the next clip, which finds the grey video encoded."""
    vace = models.vace()
    options, steps = _fastest(vace), vace.size.whole_steps
    runs = models.runs()
    _run(vace, runs, Run(name="stock", steps=steps, is_ours=False, options=_PLAIN))
    for name in ("ours", "ours, next clip"):
        _run(vace, runs, Run(name=name, steps=steps, is_ours=True, options=options))


def _taylorseer(models: Models) -> None:
    vace = models.vace()
    _cached(vace, models.runs(), _best(vace))


def _few_steps(models: Models) -> None:
    vace = models.vace()
    steps, options = vace.size.few_steps, _best(vace)
    run = Run(name="ours, few steps", steps=steps, is_ours=True, options=options, guidance=1.0)
    _run(vace, models.runs(), run)


def _stock_cudnn(models: Models) -> None:
    """How much of a difference between pictures is rounding."""
    vace = models.vace()
    if vace.works(CUDNN):
        steps, options = vace.size.whole_steps, CUDNN.options
        run = Run(name="stock, cuDNN", steps=steps, is_ours=False, options=options)
        _run(vace, models.runs(), run)


def _compiled_identity(models: Models) -> None:
    """Identity attention compiled, beside compiled without people."""
    vace = models.vace()
    with_people = compiled_arm(vace.size, _kernel(vace), people=2)
    for arm in (with_people, *_compiled(vace)[:1]):
        if not vace.works(arm):
            vace.turns((STOCK,))
            vace.turns((arm,), passes=2)


def _plans(models: Models) -> None:
    """Plans of smaller cards; the whole card's first, under which nothing has to move."""
    vace = models.vace()
    shared = models.with_others(vace.transformer)
    footprint = models.footprint(vace.model, shared)
    whole = whole_plan(footprint, models.device)
    guesses, record = models.size.guesses, models.record
    seconds = guesses.coding * _SHORT_CODING + vace.expected()

    def attempt(plan: DevicePlan, seconds: float, *, is_placed: bool) -> None:
        trial = Trial(plan=plan, shared=shared, is_placed=is_placed)
        tiles = ", in tiles" if plan.layout.tiled else ""
        what = f"plan {plan.name}{tiles}"
        record.attempt(what, seconds, lambda: carry_out(record, trial, vace.size, vace.device))

    try:
        attempt(whole, seconds, is_placed=True)
        for plan in plans_of(footprint):
            attempt(plan, seconds + guesses.moving, is_placed=False)
    finally:
        shared.clear()
        models.free()


def _kernel(vace: Bench) -> str | None:
    return vace.best((STOCK, CUDNN)).options.attention_backend


def _compiled(vace: Bench) -> tuple[Arm, ...]:
    """Compiled with the fastest kernel, or without one."""
    kernels = dict.fromkeys((_kernel(vace), None))
    return tuple(compiled_arm(vace.size, kernel) for kernel in kernels)


def _fastest(vace: Bench) -> VaceOptions:
    """The ways to be faster that work and leave the picture alone: a kernel, and compiling."""
    tries = _compiled(vace)
    for arm in tries:
        vace.turns((STOCK,))
        vace.turns((arm,), passes=2)
        if vace.works(arm):
            break
    return _best(vace)


def _best(vace: Bench) -> VaceOptions:
    """The fastest of those ways that were measured."""
    return vace.best((STOCK, CUDNN, *_compiled(vace))).options


def _uncompiled(vace: Bench) -> tuple[Arm, ...]:
    """Arms that should draw what the stock model draws."""
    arms = (STOCK, people_arm(2, gate=0.0), CUDNN)
    return arms if vace.works(CUDNN) else arms[:2]


def _compare(vace: Bench, frames: int, arms: tuple[Arm, ...], more: float = 0.0) -> None:
    share = frames / vace.size.request.num_frames
    seconds = share * (_FLOAT32_PASS + len(arms)) * vace.expected() + vace.size.guesses.build
    names = "" if not more else ", compiled"
    what = f"{vace.model}, error against float32, {frames} frames{names}"
    vace.record.attempt(what, seconds + more, lambda: errors(vace, frames, arms))


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


PARTS: dict[str, Callable[[Models], None]] = {
    "passes": _passes,
    "errors": _errors,
    "large": _large,
    "whole": _whole,
    "taylorseer": _taylorseer,
    "plans": _plans,
    "few-steps": _few_steps,
    "errors-whole": _errors_whole,
    "stock-cudnn": _stock_cudnn,
    "compiled-identity": _compiled_identity,
    "quantised": quantised,
    "t2v-14b": t2v_whole,
    "vace-14b": vace_whole,
    "errors-compiled": _errors_compiled,
}

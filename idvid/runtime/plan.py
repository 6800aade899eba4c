"""The device plan: where each component of a model lies and when. Computed before anything loads.

    gpu            everything stays on one GPU
    encoder-off    the text encoder is on the GPU only while it encodes
    model-offload  one component is on the GPU at a time
    split          the transformer's blocks lie on several GPUs
    encoder-stream the text encoder's layers pass through the GPU, the rest stays
    group-offload  the blocks of text encoder and transformer pass through the GPU
    cpu            no GPU

The VAE works in tiles where that is what makes a plan fit. Weights are quantised only by the
caller's explicit choice. Pure: bytes in, values out. How a plan is carried out is
`idvid.pipeline.placement`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idvid.config import QUANTISATIONS
from idvid.errors import ModelError
from idvid.runtime.footprint import TEXT_ENCODER, TRANSFORMER, VAE, gib
from idvid.runtime.peaks import (
    BASE_RAM,
    Layout,
    free_for,
    peak_vram,
    ram_needed,
    split_shares,
    usable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idvid.runtime.footprint import Footprint
    from idvid.runtime.machine import Machine

PLAN_NAMES = (
    "gpu",
    "encoder-off",
    "model-offload",
    "split",
    "encoder-stream",
    "group-offload",
    "cpu",
)
_STREAMLESS = ("nf4",)  # bitsandbytes keeps its weights in a form that cannot be streamed
_SLOWNESS = {
    "gpu": "full speed",
    "encoder-off": "full speed, and some seconds more for each new prompt",
    "model-offload": "full speed while denoising, and some seconds more for each video",
    "split": "nearly the speed of one GPU that is large enough",
    "encoder-stream": "full speed while denoising, and seconds to a minute more for each new prompt",
    "group-offload": "up to several times slower: {} pass over the bus in each forward pass",
    "cpu": "hundreds of times slower than a GPU, hours for a video",
}
_WHY = {
    "gpu": "Everything fits on the GPU together.",
    "encoder-off": "Transformer and VAE fit together once the text encoder has left the GPU.",
    "model-offload": "Each component fits alone, but the transformer not beside the VAE.",
    "split": "No GPU holds the transformer alone, but all of them together do.",
    "encoder-stream": "The text encoder does not fit even alone, but the rest fits together.",
    "group-offload": "The transformer does not fit as a whole, so its blocks take turns.",
    "cpu": "There is no GPU that any other plan fits on.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlan:
    """Where a model's components lie, what that takes and costs, and what to do if it fails."""

    name: str  # one of PLAN_NAMES
    model: str  # a name to show
    quantise: str  # one of QUANTISATIONS
    precision: str  # of the computation: bfloat16 or float32
    layout: Layout
    gpu: int  # index of the GPU in use, the first of several
    peak_vram: tuple[int, ...]  # expected peak of each GPU in use in bytes; () on the CPU
    ram: int  # expected peak of main memory in bytes
    slowness: str
    why: str  # one sentence
    fallbacks: tuple[DevicePlan, ...] = ()  # lower plans, the next one first; they hold none

    @property
    def is_whole(self) -> bool:
        """Whether the transformer lies on one GPU in one piece while it computes."""
        layout = self.layout
        return bool(self.peak_vram) and not layout.shares and TRANSFORMER not in layout.streamed

    @property
    def sentence(self) -> str:
        """The plan for a user."""
        where = f"up to {gib(max(self.peak_vram))} of GPU memory and " if self.peak_vram else ""
        kind = "" if self.quantise == "none" else f" in {self.quantise}"
        return (
            f"{self.model}{kind}: plan {self.name} takes {where}{gib(self.ram)} of RAM, "
            f"{self.slowness}. {self.why}"
        )


def make_plan(footprint: Footprint, machine: Machine, quantise: str = "none") -> DevicePlan:
    """The fastest plan that fits, with all lower ones as its fallbacks.

    Args:
        footprint: The model and the request, in bytes.
        machine: What is free.
        quantise: One of QUANTISATIONS.

    Raises:
        ModelError: If no plan fits, or quantised weights are asked for without a GPU.
    """
    if quantise not in QUANTISATIONS:
        raise ModelError(f"There is no quantisation '{quantise}'; use {', '.join(QUANTISATIONS)}.")
    if quantise != "none" and not machine.gpu_free:
        raise ModelError(f"{quantise} weights need a CUDA GPU and there is none; quantise nothing.")
    every = list(_candidates(footprint, machine, quantise))
    fitting = [plan for plan in every if _fits(plan, machine)]
    if not fitting:
        raise ModelError(_nothing_fits(every, machine))
    best, rest = fitting[0], []
    # A fallback that takes no less would fail again, and the CPU would take hours unasked.
    for plan in (p for p in fitting[1:] if p.peak_vram):
        if _worst(plan) < _worst(rest[-1] if rest else best):
            rest.append(plan)
    return replace(best, fallbacks=tuple(rest))


def step_down(plan: DevicePlan) -> DevicePlan:
    """The next lower plan.

    Raises:
        ModelError: If this is the lowest.
    """
    if not plan.fallbacks:
        raise ModelError(
            f"{plan.model} ran out of memory with plan {plan.name}, the lowest that this machine "
            "allows; ask for fewer frames or a smaller size, or choose a smaller model."
        )
    return replace(plan.fallbacks[0], fallbacks=plan.fallbacks[1:])


def _candidates(footprint: Footprint, machine: Machine, quantise: str) -> Iterator[DevicePlan]:
    """Every plan, best first; they may not fit."""
    weights = "bfloat16" if quantise == "none" else quantise
    layouts = _layouts(footprint, machine, weights) if machine.gpu_free else []
    for name, layout in layouts:
        if not (quantise in _STREAMLESS and layout.streamed):
            plan = _plan(name, footprint, layout, quantise)
            yield plan if layout.shares else replace(plan, gpu=_roomiest(machine))
    if quantise == "none":
        yield _plan("cpu", footprint, Layout(weights=machine.cpu_precision), quantise)


def _roomiest(machine: Machine) -> int:
    return max(range(len(machine.gpu_free)), key=lambda index: machine.gpu_free[index])


def _layouts(footprint: Footprint, machine: Machine, weights: str) -> list[tuple[str, Layout]]:
    names = tuple(c.name for c in footprint.components)
    encoder = tuple(n for n in names if n == TEXT_ENCODER)
    rest = tuple(n for n in names if n != TEXT_ENCODER)
    others = tuple(n for n in rest if n != TRANSFORMER)
    base = Layout(weights=weights)
    whole = [
        ("gpu", replace(base, groups=(names,))),
        ("encoder-off", replace(base, groups=(encoder, rest))),
        ("model-offload", replace(base, groups=tuple((n,) for n in names))),
    ]
    gpus = machine.gpu_free if weights == "bfloat16" else ()  # quantised layers are not split
    shares = split_shares(footprint, gpus, weights)
    split = [("split", replace(base, groups=(names,), shares=shares))] if shares else []
    streams = [
        ("encoder-stream", replace(base, groups=(rest,), streamed=encoder)),
        ("group-offload", replace(base, groups=(others,), streamed=(*encoder, TRANSFORMER))),
    ]
    pins = _may_pin(footprint, machine, weights)
    streams = [(name, replace(layout, pins=pins)) for name, layout in streams]
    return [*whole, *split, *_tiled(whole), *(x for s in streams for x in (s, *_tiled([s])))]


def _tiled(layouts: list[tuple[str, Layout]]) -> list[tuple[str, Layout]]:
    return [(name, replace(layout, tiled=True)) for name, layout in layouts]


def _may_pin(footprint: Footprint, machine: Machine, weights: str) -> bool:
    """Whether RAM holds a page-locked copy of all that is streamed; else it is locked block-wise."""
    pinned = sum(c.at(weights).pinned for c in footprint.components if c.name != VAE)
    rest = footprint.beside + footprint.component(VAE).at(weights).total
    return BASE_RAM + pinned + rest <= machine.ram_free


def _plan(name: str, footprint: Footprint, layout: Layout, quantise: str) -> DevicePlan:
    passing = footprint.component(TRANSFORMER).at(layout.weights).total
    slowness = _SLOWNESS[name].format(gib(passing))
    if layout.tiled:
        slowness += ", and the VAE in tiles takes up to twice as long"
    return DevicePlan(
        name=name,
        model=footprint.model,
        quantise=quantise,
        precision="float32" if layout.weights == "float32" else "bfloat16",
        layout=layout,
        gpu=0,
        peak_vram=() if name == "cpu" else peak_vram(footprint, layout),
        ram=ram_needed(footprint, layout),
        slowness=slowness,
        why=_WHY[name],
    )


def _worst(plan: DevicePlan) -> int:
    return max(plan.peak_vram, default=0)


def _fits(plan: DevicePlan, machine: Machine) -> bool:
    one = len(plan.peak_vram) == 1
    free = (machine.gpu_free[plan.gpu],) if one else machine.gpu_free
    needs = zip(plan.peak_vram, free, strict=False)  # a plan for the CPU needs no GPU
    return all(need <= usable(has) for need, has in needs) and plan.ram <= machine.ram_free


def _nothing_fits(plans: list[DevicePlan], machine: Machine) -> str:
    least = min((p for p in plans if p.peak_vram), key=_worst, default=plans[-1])
    on_gpu = f"{gib(free_for(_worst(least)))} of GPU memory and " if least.peak_vram else ""
    free = f"{gib(max(machine.gpu_free))} and " if machine.gpu_free else ""
    return (
        f"{least.model} needs at least {on_gpu}{gib(least.ram)} of RAM (plan {least.name}), but "
        f"only {free}{gib(machine.ram_free)} are free; ask for fewer frames or a smaller size, or "
        "choose a smaller model."
    )

"""What a layout takes at its peak, in bytes. Pure arithmetic on a `Footprint`.

Every estimate is an upper bound that stays close: activations are those of the largest moment of
each phase, plus a margin for what libraries allocate beside the tensors of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.runtime.footprint import GIB, TEXT_ENCODER, TRANSFORMER, VAE

if TYPE_CHECKING:
    from idvid.runtime.footprint import Footprint, Phase

BASE_RAM = 4 * GIB  # Python, PyTorch, CUDA's host side, and the video being encoded
# Workspaces of cuBLAS and cuDNN grow with the tensors; convolutions in time take the most. On an H100 a
# whole VACE run took 1.14 times what its decoder's tensors count, where 1.05 had been expected.
_ACTIVATION_MARGIN, _CONVOLUTION_MARGIN = 1.05, 1.15
_WORKSPACE = 64 * 2**20  # cuBLAS takes this much whatever the size
_RESERVE, _RESERVE_SHARE = GIB // 2, 0.03  # CUDA context; the allocator's holes; "24 GB" is less


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the components lie."""

    weights: str  # the precision of text encoder and transformer
    groups: tuple[tuple[str, ...], ...] = ()  # on the GPU together; the groups take turns
    streamed: tuple[str, ...] = ()  # components whose blocks pass through the GPU
    pins: bool = True  # page-lock all that is streamed, once; else block by block, slower
    tiled: bool = False  # the VAE works in tiles
    shares: tuple[int, ...] = ()  # bytes of the transformer on each of several GPUs


def usable(free: int) -> int:
    """How many of the free bytes of a GPU a plan may count on."""
    return max(0, int(free * (1 - _RESERVE_SHARE)) - _RESERVE)


def free_for(peak: int) -> int:
    """How many bytes of a GPU must be free for a plan with that peak."""
    return int((peak + _RESERVE) / (1 - _RESERVE_SHARE)) + 1


def peak_vram(footprint: Footprint, layout: Layout) -> tuple[int, ...]:
    """The expected peak of each GPU."""
    if layout.shares:
        return _split_peaks(footprint, layout)
    return (max(_phase_bytes(footprint, layout, phase) for phase in footprint.phases),)


def ram_needed(footprint: Footprint, layout: Layout) -> int:
    """The expected peak of main memory: weights are read there before they go to a GPU."""
    total = sum(
        c.at(layout.weights).pinned
        if c.name in layout.streamed and layout.pins
        else c.at(layout.weights).total
        for c in footprint.components
    )
    on_cpu = not (layout.groups or layout.streamed)
    return (
        BASE_RAM + footprint.beside + total + (_cpu_activation(footprint, layout) if on_cpu else 0)
    )


def split_shares(footprint: Footprint, gpus: tuple[int, ...], weights: str) -> tuple[int, ...]:
    """How many bytes of the transformer go on each GPU, or () if it cannot be split over them.

    The first GPU also holds the other components; every GPU needs room for the activations of a
    forward pass and for one block more, because blocks are never cut.
    """
    if len(gpus) < 2:
        return ()
    size = footprint.component(TRANSFORMER).at(weights)
    others = sum(c.at(weights).total for c in footprint.components if c.name != TRANSFORMER)
    activation = max(_activation(p, tiled=False) for p in footprint.phases)
    forward = _denoising(footprint)
    left, shares = size.total + size.largest_block, []
    for index, free in enumerate(gpus):
        taken = others + activation if index == 0 else forward
        room = max(0, usable(free) - taken - size.largest_block)
        shares.append(min(room, left))
        left -= shares[-1]
    return tuple(s + size.largest_block for s in shares) if left <= 0 else ()


def _split_peaks(footprint: Footprint, layout: Layout) -> tuple[int, ...]:
    others = sum(c.at(layout.weights).total for c in footprint.components if c.name != TRANSFORMER)
    activation = max(_activation(p, layout.tiled) for p in footprint.phases)
    first, *rest = layout.shares
    return (first + others + activation, *(s + _denoising(footprint) for s in rest))


def _denoising(footprint: Footprint) -> int:
    return max(_activation(p, tiled=False) for p in footprint.phases if p.component == TRANSFORMER)


def _phase_bytes(footprint: Footprint, layout: Layout, phase: Phase) -> int:
    resident = sum(
        footprint.component(name).at(layout.weights).total
        for group in layout.groups
        if phase.component in group or phase.component in layout.streamed
        for name in group
    )
    size = footprint.component(phase.component).at(layout.weights)
    if phase.component in layout.streamed:
        resident += size.streamed
    return resident + size.largest_layer + _activation(phase, layout.tiled)


def _activation(phase: Phase, tiled: bool) -> int:
    activation = phase.activation_tiled if tiled else phase.activation
    margin = _CONVOLUTION_MARGIN if phase.component == VAE else _ACTIVATION_MARGIN
    return int(activation * margin) + _WORKSPACE


def _cpu_activation(footprint: Footprint, layout: Layout) -> int:
    """float32 doubles what text encoder and transformer hold; the VAE is in float32 anyway."""
    wide = 2 if layout.weights == "float32" else 1
    return max(
        _activation(p, layout.tiled) * (wide if p.component in (TEXT_ENCODER, TRANSFORMER) else 1)
        for p in footprint.phases
    )

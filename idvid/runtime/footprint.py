"""How much memory a model takes, as values: weights of each component, activations of each phase.

Sizes are bytes. A component is a part of a pipeline (text encoder, transformer, VAE); a phase is a
stretch of a run in which one component computes. Knows no model and no library.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GIB = 2**30
TEXT_ENCODER, TRANSFORMER, VAE = "text_encoder", "transformer", "vae"  # names in Hub pipelines


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightBytes:
    """What a component's weights take at one precision."""

    precision: str  # float32, bfloat16, int8, fp8 or nf4
    total: int
    streamed: int  # on the GPU at most, when blocks come one after another, the next one early
    largest_block: int  # of what comes and goes together when streamed
    largest_layer: int  # what one quantised layer unpacks to while it computes; 0 if none is
    pinned: int  # in page-locked RAM, where PyTorch rounds every tensor up to a power of two


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSize:
    """One component and what it takes at every precision that it may be used in."""

    name: str  # its name in the pipeline
    class_name: str
    num_params: int
    weights: tuple[WeightBytes, ...]  # the first is the one it is meant to be used in

    def at(self, precision: str) -> WeightBytes:
        """Its size at a precision; at the one it is meant for if it is never used in that one."""
        return next((w for w in self.weights if w.precision == precision), self.weights[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one stretch of a run takes beside the weights."""

    component: str  # the one that computes
    activation: int  # bytes at the peak, with all that is carried from earlier phases
    activation_tiled: int  # the same with the VAE in tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """A model and a request on it, in bytes."""

    model: str  # a name to show
    components: tuple[ComponentSize, ...]
    phases: tuple[Phase, ...]  # in the order of a run
    beside: int = 0  # bytes in main memory, whatever the plan: parts that never reach a GPU

    def component(self, name: str) -> ComponentSize:
        """The component of that name; it must exist."""
        return next(c for c in self.components if c.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedBytes:
    """What joins a model from files of its own, in bytes as these files have them."""

    layers: int = 0  # of the transformer, spread over its blocks
    beside: int = 0  # stay in main memory, or pass through it while the model is read


def with_added(footprint: Footprint, added: AddedBytes, num_blocks: int) -> Footprint:
    """A model with parts that were not in its own files.

    Args:
        footprint: Without them.
        added: Their bytes, in 16 bits a number or more.
        num_blocks: Blocks of the transformer; at least every second one gets layers.
    """
    components = tuple(
        replace(part, weights=tuple(_joined(w, added.layers, num_blocks) for w in part.weights))
        if part.name == TRANSFORMER
        else part
        for part in footprint.components
    )
    return replace(footprint, components=components, beside=footprint.beside + added.beside)


def _joined(weights: WeightBytes, layers: int, num_blocks: int) -> WeightBytes:
    size = 2 * layers if weights.precision == "float32" else layers
    in_block = -(-2 * size // num_blocks)
    return replace(
        weights,
        total=weights.total + size,
        streamed=weights.streamed + min(size, 2 * in_block),
        largest_block=weights.largest_block + min(size, in_block),
        pinned=weights.pinned + 2 * size,  # no tensor is rounded up to more
    )


def gib(num_bytes: int) -> str:
    """Bytes to read: 12.3 GiB."""
    return f"{num_bytes / GIB:.1f} GiB"

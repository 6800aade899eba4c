"""How large a model's components are, before and after they are loaded.

From the configuration: the real class is built on the meta device, which takes no memory, and its
parameters are counted layer by layer, because at every precision some layers keep another one.
From the weights: the headers of safetensors files. Knows the rules by which diffusers loads,
casts, quantises and streams; decides nothing.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import torch
from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from idvid.runtime import TEXT_ENCODER, TRANSFORMER, ComponentSize, WeightBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Bytes = Callable[[nn.Module, str, torch.Tensor], int]
    Parameter = tuple[nn.Module, str, torch.Tensor]  # its layer, its full name, and itself

# The layers that diffusers casts and streams one by one (diffusers.hooks._common).
LAYERS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
    nn.Embedding,
)
# In text encoders fp8 is too coarse for embeddings, and T5 casts the inputs of `wo` to its storage.
_TEXT_SKIPS = ("shared", "embed_tokens", "relative_attention_bias", r"\.wo$")
_NF4_PER_WEIGHT = 0.5 + 1 / 64 + 4 / (64 * 256)  # 4 bits; a byte per 64; a float per 64 * 256
_INT8_SCALE = 4  # bytes for each output of a layer


def component_size(name: str, module: nn.Module) -> ComponentSize:
    """Count a module, on the meta device or loaded; adapters that are attached count with it."""
    rules: dict[str, Bytes] = {"float32": lambda _m, _n, p: 4 * p.numel()}
    if name in (TEXT_ENCODER, TRANSFORMER):
        half = _half(module)
        rules = {
            "bfloat16": half,
            **rules,
            "int8": _linear_only(half, lambda p: p.numel() + _INT8_SCALE * p.shape[0]),
            "fp8": _cast(module, half),
            "nf4": _linear_only(
                half, lambda p: math.ceil(p.numel() * _NF4_PER_WEIGHT), _nf4_skips(module)
            ),
        }
    parameters = list(_parameters(module))  # once for all precisions: the walk is what takes long
    return ComponentSize(
        name=name,
        class_name=type(module).__name__,
        num_params=sum(p.numel() for _, _, p in parameters),
        weights=tuple(
            _weigh(module, parameters, precision, rule) for precision, rule in rules.items()
        ),
    )


def fp8_skip_patterns(module: nn.Module) -> tuple[str, ...]:
    """Names of layers that stay in bfloat16 when the others are stored in fp8."""
    if not isinstance(module, ModelMixin):
        return (*DEFAULT_SKIP_MODULES_PATTERN, *_TEXT_SKIPS)
    own = (*(module._keep_in_fp32_modules or ()), *(module._skip_layerwise_casting_patterns or ()))
    return (*DEFAULT_SKIP_MODULES_PATTERN, *own)


def streams_by_block(module: nn.Module) -> bool:
    """Whether a module's blocks are its direct children; else it streams layer by layer."""
    return any(isinstance(child, nn.ModuleList) for child in module.children())


def _half(module: nn.Module) -> Bytes:
    """bfloat16, and float32 where a diffusers model insists on it."""
    keep = set(module._keep_in_fp32_modules or ()) if isinstance(module, ModelMixin) else set()

    def count(_layer: nn.Module, name: str, parameter: torch.Tensor) -> int:
        return parameter.numel() * (4 if keep & set(name.split(".")) else 2)

    return count


def _nf4_skips(module: nn.Module) -> tuple[str, ...]:
    """Ends of the names of layers that transformers keeps from bitsandbytes: T5's `wo`."""
    if isinstance(module, ModelMixin):
        return ()
    return tuple(getattr(module, "_keep_in_fp32_modules", None) or ())


def _linear_only(
    others: Bytes, quantised: Callable[[torch.Tensor], int], skips: tuple[str, ...] = ()
) -> Bytes:
    """Weights of linear layers by `quantised`, all else by `others`."""

    def count(layer: nn.Module, name: str, parameter: torch.Tensor) -> int:
        half = others(layer, name, parameter)
        is_kept = half > 2 * parameter.numel() or name.rpartition(".")[0].endswith(skips)
        is_weight = isinstance(layer, nn.Linear) and parameter.dim() == 2
        return quantised(parameter) if is_weight and not is_kept else half

    return count


def _cast(module: nn.Module, others: Bytes) -> Bytes:
    """One byte a parameter in the layers that diffusers casts, all else by `others`."""
    patterns = fp8_skip_patterns(module)

    def count(layer: nn.Module, name: str, parameter: torch.Tensor) -> int:
        skipped = any(re.search(p, name.rpartition(".")[0]) for p in patterns)
        is_cast = isinstance(layer, LAYERS) and not skipped
        return parameter.numel() if is_cast else others(layer, name, parameter)

    return count


def _weigh(
    module: nn.Module, parameters: Sequence[Parameter], precision: str, count: Bytes
) -> WeightBytes:
    """Add up what `count` says of each parameter, by layer and by block."""
    sizes = {name: count(layer, name, p) for layer, name, p in parameters}
    blocks = sorted(_blocks(module, sizes))
    outside = sum(sizes.values()) - sum(blocks)
    return WeightBytes(
        precision=precision,
        total=sum(sizes.values()) + _buffer_bytes(module),
        streamed=outside + sum(blocks[-2:]) + _buffer_bytes(module),
        largest_block=max(blocks, default=0),
        largest_layer=max(
            (2 * p.numel() for _, n, p in parameters if sizes[n] < 2 * p.numel()),
            default=0,
        ),
        pinned=sum(_power_of_two(size) for size in sizes.values()),
    )


def _parameters(module: nn.Module) -> Iterator[Parameter]:
    """Each parameter once, with the layer that holds it and its full name."""
    seen: set[int] = set()
    for path, layer in module.named_modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield layer, f"{path}.{name}" if path else name, parameter


def _blocks(module: nn.Module, sizes: dict[str, int]) -> list[int]:
    """What is moved together when the module streams, in bytes."""
    if not streams_by_block(module):
        return list(sizes.values())
    lists = [n for n, child in module.named_children() if isinstance(child, nn.ModuleList)]
    blocks: dict[str, int] = {}
    for name, size in sizes.items():
        head, _, rest = name.partition(".")
        if head in lists:
            block = f"{head}.{rest.partition('.')[0]}"
            blocks[block] = blocks.get(block, 0) + size
    return list(blocks.values())


def _buffer_bytes(module: nn.Module) -> int:
    return sum(b.numel() * b.element_size() for b in module.buffers())


def _power_of_two(size: int) -> int:
    """What PyTorch's allocator of page-locked memory takes (CachingHostAllocator)."""
    return 1 << (size - 1).bit_length() if size else 0

"""A trained part in larger sizes that computes the same: wider and deeper, to learn on from there.

Width (Net2Net, Chen et al. 2016): groups of HEAD_WIDTH features are repeated side by side. So whole
heads are copied, and every chunk of a layer's outputs (keys | values, gate | value, the modulations)
grows in its place, because all chunks are whole groups. A feature's copies are equal, which leaves
means, norms and attention as they were. A linear layer that reads them gives each copy a share of
the old weight; shares sum to 1 and are drawn anew for every weight, so that the copies learn apart.

Depth: a block is followed by a copy whose branches end in zero, and which so adds nothing yet (as
in LEMON, Wang et al. 2024). Knows tensors and configurations, no data and no folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from idvid.models.layers import HEAD_WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffusers.models.modeling_utils import ModelMixin
    from torch import Generator, Tensor

_WIDTHS = ("width", "text_width")
_COUNTS = ("depth", "vocabulary_size")
_BRANCH_END = ".to_out."  # the last layer of every attention and feed-forward network
_SEED = 0  # of the shares


def grown_weights(part: ModelMixin, target: ModelMixin) -> dict[str, Tensor] | None:
    """The part's weights in the target's width and depth, or None where it cannot be grown to them.

    The rows of a vocabulary stay as many as they are.
    """
    if not can_grow(part.config, target.config):
        return None
    generator = torch.Generator().manual_seed(_SEED)
    old, new = part.state_dict(), target.state_dict()
    readers = _linear_weights(target)
    origins = _origins(part, target)
    grown: dict[str, Tensor] = {}
    for name, tensor in new.items():
        origin, is_new = origins[name]
        weights = old[origin]
        if is_new and _BRANCH_END in name:
            grown[name] = torch.zeros_like(tensor)
        elif name in readers:
            grown[name] = _widened_reader(weights, tensor.shape, generator)
        else:
            grown[name] = _repeated(weights, tensor.shape[-1]) if weights.ndim else weights
    return grown


def can_grow(config: Mapping[str, object], target: Mapping[str, object]) -> bool:
    """Whether the target is the same part with a multiple of the width, and no less of the rest."""
    sizes = {
        name: (config.get(name), value)
        for name, value in target.items()
        if not name.startswith("_") and config.get(name) != value
    }
    return all(
        isinstance(old, int)
        and isinstance(new, int)
        and new >= old
        and (name in _COUNTS or (name in _WIDTHS and new % old == 0))
        for name, (old, new) in sizes.items()
    )


def _origins(part: nn.Module, target: nn.Module) -> dict[str, tuple[str, bool]]:
    """Each of the target's tensors: which of the part's it comes from, and if its block is new."""
    depths = {path: len(blocks) for path, blocks in _lists(part).items()}
    origins = {name: (name, False) for name in target.state_dict()}
    for path, blocks in _lists(target).items():
        old, new = depths[path], len(blocks)
        for index, block in enumerate(blocks):
            first = index * old // new
            is_new = index > 0 and (index - 1) * old // new == first
            for rest in block.state_dict():
                origins[f"{path}.{index}.{rest}"] = (f"{path}.{first}.{rest}", is_new)
    return origins


def _lists(module: nn.Module) -> dict[str, nn.ModuleList]:
    return {path: m for path, m in module.named_modules() if isinstance(m, nn.ModuleList)}


def _linear_weights(module: nn.Module) -> set[str]:
    """Names of the matrices that read features."""
    linear = (path for path, layer in module.named_modules() if isinstance(layer, nn.Linear))
    return {f"{path}.weight" for path in linear}


def _widened_reader(weight: Tensor, size: torch.Size, generator: Generator) -> Tensor:
    """A linear layer's weight (out, in) for copied inputs and outputs, in `size`."""
    rows = _repeated(weight.T, size[0]).T
    if weight.shape[1] == size[1]:
        return rows
    source = _sources(weight.shape[1], size[1])
    # Exponential draws over their sum: shares that are uniform over all that sum to 1.
    drawn = -torch.rand(size, generator=generator, dtype=torch.float64).clamp(min=1e-12).log()
    total = drawn.new_zeros(rows.shape).index_add_(1, source, drawn)
    return (rows[:, source] * (drawn / total[:, source])).to(weight.dtype)


def _repeated(features: Tensor, count: int) -> Tensor:
    """Features along the last dimension, repeated until there are `count`."""
    old = features.shape[-1]
    return features.clone() if old == count else features[..., _sources(old, count)]


def _sources(old: int, new: int) -> Tensor:
    """Which of `old` features each of `new` ones copies: a group's copies lie side by side."""
    groups = torch.arange(new // HEAD_WIDTH) * (old // HEAD_WIDTH) // (new // HEAD_WIDTH)
    return (groups[:, None] * HEAD_WIDTH + torch.arange(HEAD_WIDTH)).flatten()

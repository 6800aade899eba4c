"""In which precision the pipeline computes on this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

from idvid import runtime

if TYPE_CHECKING:
    from idvid.models.checkpoint import BundledModel


def autocast() -> AbstractContextManager[object]:
    """bfloat16 products where the CPU is faster at them, else nothing."""
    return torch.autocast("cpu", torch.bfloat16) if runtime.has_fast_bf16() else nullcontext()


def freeze(model: BundledModel) -> None:
    """Make a model ready to generate: no gradients, and weights stored as they are multiplied.

    Under autocast the video transformer's linear layers would round their weights anew in every
    denoising step; rounded once, the products are the same to the bit. Convolutions read pixel by
    pixel: a third less time to decode, and to re-enact without bfloat16.
    """
    for part in model.parts().values():
        part.eval().requires_grad_(False)
    for part in (model.autoencoder, model.reenactor, model.matte):
        if part is not None:
            nn.Module.to(part, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - in place
    if not runtime.has_fast_bf16():
        return
    for transformer in (model.transformer, model.transformer_few):
        if transformer is not None:
            round_linears(transformer)


def round_linears(module: nn.Module) -> None:
    """Store the weights of linear layers as autocast would round them, once for all."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.to(torch.bfloat16)

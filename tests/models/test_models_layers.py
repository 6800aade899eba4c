"""Attention as sums of products, for compilers of GPUs, is attention."""

import torch
from torch.nn import functional

from idvid.models.layers import HEAD_WIDTH, short_attention


def test_short_attention_and_its_gradients_are_those_of_attention():
    source = torch.Generator().manual_seed(0)
    given = [torch.randn(5, 2, 8, HEAD_WIDTH, generator=source) for _ in range(4)]
    found = []
    for attend in (short_attention, functional.scaled_dot_product_attention):
        inputs = [values.clone().requires_grad_() for values in given[:3]]
        out = attend(*inputs)
        (out * given[3]).sum().backward()
        found.append([out, *(values.grad for values in inputs)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_short_attention_keeps_the_precision_of_its_input():
    values = torch.randn(2, 1, 4, HEAD_WIDTH, dtype=torch.bfloat16)
    assert short_attention(values, values, values).dtype == torch.bfloat16

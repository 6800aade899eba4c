"""How fast products can be at best: each bound by arithmetic, or by reading and writing once.

The roofline of Williams et al. (2009), operation by operation. What lies between products (norms,
activations, optimisers) is taken for free, so that no program without fused products is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.gpu_arms import measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch._ops import OpOverload

COPIED_BYTES = {"cuda": 1 << 31, "cpu": 1 << 27}
_COPIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The products of a step: operations and bytes of each."""

    products: tuple[tuple[int, int], ...]

    @property
    def operations(self) -> int:
        """Of all products together."""
        return sum(operations for operations, _ in self.products)

    def seconds(self, rate: float, bandwidth: float) -> float:
        """At least, for operations and bytes per second."""
        return sum(max(o / rate, b / bandwidth) for o, b in self.products)


def work_of(step: Callable[[], None]) -> Work:
    """Run a step and note its products: what torch's own counter knows as costing operations."""
    with _Noting() as noting:
        step()
    return Work(products=tuple(noting.products))


def copy_rate(device: torch.device) -> float:
    """Bytes per second of a large copy, read and written."""
    count = COPIED_BYTES.get(device.type, COPIED_BYTES["cpu"])
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copies() -> None:
        for _ in range(_COPIES):
            target.copy_(source)

    copies()
    return 2 * _COPIES * count / measured(device, copies)[0]


class _Noting(TorchDispatchMode):
    """Notes every product that runs under it."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[int, int]] = []

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        named = kwargs or {}
        out = func(*args, **named)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            tensors = [x for x in tree_leaves((args, named, out)) if isinstance(x, torch.Tensor)]
            moved = sum(x.numel() * x.element_size() for x in tensors)
            self.products.append((int(count(*args, **named, out_val=out)), moved))
        return out

"""How fast a step can be at best: each product bound by arithmetic, or by reading and writing once.

The roofline of Williams et al. (2009), operation by operation; attention is a product. Where products
are a library's kernels, what they read and no product made (normed, gated, turned) has been written
once by something in between, which read as much; and a sum that is needed again after a product, as
residuals are, is written and read once. All else (losses, optimisers, averages, launches) is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import (
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from benchmarks.gpu_arms import measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, UntypedStorage
    from torch._ops import OpOverload

COPIED_BYTES = {"cuda": 1 << 31, "cpu": 1 << 27}
_COPIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The products of a step: operations and bytes of each."""

    products: tuple[tuple[int, int], ...]
    between: int = 0  # bytes of what products read and no product made
    carried: int = 0  # bytes of sums that are read again after a product

    @property
    def operations(self) -> int:
        """Of all products together."""
        return sum(operations for operations, _ in self.products)

    def seconds(self, rate: float, bandwidth: float, *, fused: bool = False) -> float:
        """At least, for operations and bytes per second; `fused`: with nothing between products."""
        moved = 0 if fused else 2 * (self.between + self.carried) / bandwidth  # written and read
        return moved + sum(max(o / rate, b / bandwidth) for o, b in self.products)


def work_of(step: Callable[[], None]) -> Work:
    """Run a step and note its products: what torch's own counter knows as costing operations."""
    with _Noting() as noting:
        step()
    return Work(products=tuple(noting.products), between=noting.between, carried=noting.carried)


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
        self.between = self.carried = 0
        self._sums: WeakKeyDictionary[UntypedStorage, int] = WeakKeyDictionary()  # products before
        self._known: WeakSet[UntypedStorage] = WeakSet()  # products', and those counted already

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        named = kwargs or {}
        read = _tensors((args, named))
        self._note_carried(read)
        out = func(*args, **named)
        count = _COUNTS.get(func._overloadpacket)
        if count is not None:
            self._note_product(int(count(*args, **named, out_val=out)), read, _tensors(out))
        elif func is torch.ops.aten.add.Tensor and len({x.shape for x in (*read, out)}) == 1:
            self._sums[out.untyped_storage()] = len(self.products)
        return out

    def _note_product(self, operations: int, read: list[Tensor], made: list[Tensor]) -> None:
        self.products.append((operations, sum(_bytes(x) for x in (*read, *made))))
        for tensor in read:
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self.between += _bytes(tensor)
                self._known.add(storage)
        self._known.update(x.untyped_storage() for x in made)

    def _note_carried(self, read: list[Tensor]) -> None:
        for tensor in read:
            before = self._sums.get(tensor.untyped_storage())
            if before is not None and before < len(self.products):
                self.carried += _bytes(tensor)
                del self._sums[tensor.untyped_storage()]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _tensors(values: object) -> list[Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, torch.Tensor)]


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object
) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_CPU_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
# torch's own counter knows the kernels of GPUs alone.
_COUNTS = {**flop_registry, _CPU_ATTENTION: _attention, _CPU_BACKWARD: _attention_backward}

"""Muon whose matrices of one shape are turned together (Jordan et al. 2024, as in `torch.optim`).

torch turns one matrix after the other, which for small matrices costs a GPU more than the rest of a
step (docs/log.md), and in bfloat16 everywhere, which processors without it compute 80 times slower.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Muon

from idvid import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class StackedMuon(Muon):
    """`torch.optim.Muon` with the same settings and state, `adjust_lr_fn="match_rms_adamw"` alone."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move all matrices by one step."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for matrices in alike.values():
                self._move(matrices, group)
        return loss

    def _move(self, matrices: Sequence[Tensor], group: dict[str, Any]) -> None:
        """One step of matrices of one shape."""
        grads = [matrix.grad for matrix in matrices if matrix.grad is not None]
        buffers = [self._momentum(matrix) for matrix in matrices]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])  # pyright: ignore[reportPrivateImportUsage]
        updates = torch.stack(buffers)
        if group["nesterov"]:
            updates = torch.stack(grads).lerp(updates, group["momentum"])
        turned = orthogonalised(updates, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rate, (rows, columns) = group["lr"], matrices[0].shape
        torch._foreach_mul_(list(matrices), 1 - rate * group["weight_decay"])  # pyright: ignore[reportPrivateImportUsage]
        # Updates as large as AdamW's (Liu et al. 2025, "Muon is scalable for LLM training").
        alpha = -rate * 0.2 * math.sqrt(max(rows, columns))
        torch._foreach_add_(list(matrices), list(turned.to(matrices[0].dtype)), alpha=alpha)  # pyright: ignore[reportPrivateImportUsage]

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return state["momentum_buffer"]


def orthogonalised(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """Matrices (N, A, B) with singular values near 1, by Newton-Schulz iterations.

    Args:
        matrices: any float type.
        coefficients: of the quintic polynomial.
        steps: iterations.
        eps: least norm that is divided by.

    Returns:
        (N, A, B) in bfloat16 where that is fast, else in float32.
    """
    is_fast = runtime.is_fast_in_bf16(matrices.device.type)
    turned = matrices.to(torch.bfloat16 if is_fast else torch.float32)
    is_tall = turned.shape[1] > turned.shape[2]
    turned = turned.mT if is_tall else turned
    turned = turned / torch.linalg.matrix_norm(turned, keepdim=True).clamp(min=eps)
    first, second, third = coefficients
    for _ in range(steps):
        gram = turned @ turned.mT
        update = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        turned = torch.baddbmm(turned, update, turned, beta=first)
    return turned.mT if is_tall else turned

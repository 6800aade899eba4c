"""The optimisers of a stage, and their state as named tensors.

Muon (Jordan et al. 2024, as in `torch.optim`) turns the hidden matrices of a transformer, whose
gradients have a few strong directions that drown the rest; AdamW does everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import AdamW

from idvid.training.muon import StackedMuon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from idvid.training.settings import OptimiserSettings


def build_optimisers(model: nn.Module, settings: OptimiserSettings) -> tuple[Optimizer, ...]:
    """AdamW for the whole model or, with `settings.muon`, Muon for its hidden matrices."""
    trained = {id(p): p for p in model.parameters() if p.requires_grad}
    hidden = [trained.pop(id(p)) for p in hidden_matrices(model)] if settings.muon else []
    rest = list(trained.values())
    groups = [
        # Matrices decay; norms, biases and gates do not.
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    # On a GPU one kernel for all of them: the usual way, launching takes longer than computing.
    fused = all(p.is_cuda for p in rest) or None
    adamw = AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=fused)
    if not hidden:
        return (adamw,)
    # Its updates have the size of AdamW's, so that one learning rate serves both.
    muon = StackedMuon(
        hidden,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return adamw, muon


def hidden_matrices(model: nn.Module) -> list[Tensor]:
    """Weights of the linear layers in repeated blocks: not of the first and last layers."""
    repeated = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    layers = [m for blocks in repeated for m in blocks.modules() if isinstance(m, nn.Linear)]
    unique = {id(layer.weight): layer.weight for layer in layers if layer.weight.requires_grad}
    return list(unique.values())


def optimiser_tensors(optimisers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The state of all optimisers as one flat dict."""
    return {
        f"{number}.{index}.{name}": torch.as_tensor(value)
        for number, optimiser in enumerate(optimisers)
        for index, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_optimisers(optimisers: Sequence[Optimizer], tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    for number, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == number:
                state.setdefault(int(index), {})[name] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})

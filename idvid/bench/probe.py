"""A probe: principal components, then a small network, from features to the odds of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COMPONENTS, HIDDEN = 64, 64
_EPOCHS, _BATCH, _RATE, _DECAY, _DROPOUT, _NOISE = 60, 128, 3e-3, 0.05, 0.3, 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """A fitted probe."""

    classes: tuple[str, ...]
    mean: torch.Tensor  # (F,)
    basis: torch.Tensor  # (F, components), scaled so that components have unit variance
    network: nn.Sequential

    @torch.no_grad()
    def odds(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, classes)."""
        inner = (torch.from_numpy(features_NF) - self.mean) @ self.basis
        return self.network(inner).softmax(-1).numpy()

    def read(self, features_NF: NDArray[np.float32]) -> str:
        """The class of one thing that was seen N times: largest mean log probability."""
        odds = self.odds(features_NF).astype(np.float64)
        return self.classes[int(np.log(odds + 1e-6).mean(0).argmax())]


def fit(features_NF: NDArray[np.float32], labels: Sequence[str], classes: tuple[str, ...]) -> Probe:
    """Fit a probe; the same data gives the same probe.

    Args:
        features_NF: one row per example.
        labels: of each row, among the classes. Rare classes count as much as frequent ones.
        classes: all that may be answered.
    """
    values = torch.from_numpy(np.ascontiguousarray(features_NF, np.float32))
    target = torch.tensor([classes.index(label) for label in labels])
    mean = values.mean(0)
    count = min(COMPONENTS, len(values) - 1, values.shape[1])
    _, size, directions = torch.linalg.svd(values - mean, full_matrices=False)
    spread = size[:count] / (len(values) - 1) ** 0.5
    basis = (directions[:count] / spread.clamp(min=1e-4 * float(spread[0]))[:, None]).T.contiguous()
    layers = network(count, len(classes))
    _train(layers, (values - mean) @ basis, target)
    return Probe(classes=classes, mean=mean, basis=basis, network=layers.eval())


def network(width: int, classes: int) -> nn.Sequential:
    """The untrained network of a probe, from `width` components to the logits of its classes."""
    generator = torch.Generator().manual_seed(0)
    layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, classes))
    with torch.no_grad():
        for parameter in layers.parameters():
            bound = parameter.shape[-1] ** -0.5
            parameter.uniform_(-bound, bound, generator=generator)
    return layers


def _train(layers: nn.Sequential, inner: torch.Tensor, target: torch.Tensor) -> None:
    """AdamW with noisy inputs and inputs left out, on classes half-way to balanced."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.bincount(target, minlength=int(layers[-1].out_features)).clamp(min=1)
    weight = (len(target) / counts).sqrt()
    optimiser = torch.optim.AdamW(layers.parameters(), lr=_RATE, weight_decay=_DECAY)
    for epoch in range(_EPOCHS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (1 - epoch / _EPOCHS)
        for rows in torch.randperm(len(inner), generator=generator).split(_BATCH):
            noise = torch.randn(inner[rows].shape, generator=generator)
            kept = torch.rand(inner[rows].shape, generator=generator) > _DROPOUT
            given = (inner[rows] + _NOISE * noise) * kept / (1 - _DROPOUT)
            loss = functional.cross_entropy(layers(given), target[rows], weight=weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

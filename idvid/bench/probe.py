"""A probe: linear discriminants with shrinkage, from features to the odds of classes.

Linear and in closed form: it needs no schedule and no seed, and with a thousand examples it was right
more often than a small network (docs/log.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHRINKAGE = 0.03  # of the mean variance, added to every feature's
FEW_SHRINKAGE = 0.003  # where features are few and in units of their own
FEW = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """A fitted probe."""

    classes: tuple[str, ...]
    mean: NDArray[np.float32]  # (F,)
    weight: NDArray[np.float32]  # (F, classes)
    bias: NDArray[np.float32]  # (classes,)

    def odds(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, classes), all classes taken to be equally frequent."""
        return softmax(self._logits(features_NF), axis=1)

    def read(self, features_NF: NDArray[np.float32]) -> str:
        """The class of one thing that was seen N times."""
        return self.classes[int(self._logits(features_NF).mean(0).argmax())]

    def _logits(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((features_NF - self.mean) @ self.weight + self.bias, np.float32)


def fit(features_NF: NDArray[np.float32], labels: Sequence[str], classes: tuple[str, ...]) -> Probe:
    """Fit a probe (Fisher's discriminants, covariance shrunk as by Ledoit and Wolf's form).

    Fewer than FEW features are no pixels but quantities in units of their own: they are scaled first.

    Args:
        features_NF: one row per example.
        labels: of each row, among the classes; a class without an example is never answered.
        classes: all that may be answered.
    """
    mean = features_NF.mean(0)
    is_few = features_NF.shape[1] < FEW
    scale = features_NF.std(0).astype(np.float64) + 1e-6 if is_few else np.ones(len(mean))
    shrinkage = FEW_SHRINKAGE if is_few else SHRINKAGE
    values = (features_NF - mean).astype(np.float64) / scale
    index = np.array([classes.index(label) for label in labels])
    centres = np.zeros((len(classes), values.shape[1]))
    for number in np.unique(index):
        centres[number] = values[index == number].mean(0)
    within = values - centres[index]
    covariance = within.T @ within / len(within)
    covariance += (shrinkage * covariance.trace() / len(covariance) + 1e-9) * np.eye(
        len(covariance)
    )
    weight = np.linalg.solve(covariance, centres.T)
    bias = -0.5 * (centres * weight.T).sum(1)
    bias[np.setdiff1d(np.arange(len(classes)), index)] = -1e9
    return Probe(
        classes=classes,
        mean=mean.astype(np.float32),
        weight=(weight / scale[:, None]).astype(np.float32),
        bias=bias.astype(np.float32),
    )

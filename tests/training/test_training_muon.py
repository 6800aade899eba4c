"""Muon in stacks does what torch's does one matrix at a time, and reads its state."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import Muon

from idvid.training.muon import StackedMuon, orthogonalised

SHAPES = ((32, 32), (48, 32), (32, 32), (32, 80))
SETTINGS = {"lr": 1e-2, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


def matrices():
    source = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=source)) for shape in SHAPES]


def moved(optimiser, weights, steps, first=0):
    for step in range(first, first + steps):
        source = torch.Generator().manual_seed(step + 1)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=source)
        optimiser.step()
    return [weight.detach().clone() for weight in weights]


def test_stacks_move_as_matrices_do_alone():
    mine, theirs, before = matrices(), matrices(), matrices()
    new, old = StackedMuon(mine, **SETTINGS), Muon(theirs, **SETTINGS)
    for one, other, start in zip(moved(new, mine, 3), moved(old, theirs, 3), before, strict=True):
        # torch turns them in bfloat16, wherever it runs.
        assert (one - other).norm() < 0.02 * (other - start).norm()
    for one, other in zip(mine, theirs, strict=True):
        buffers = [o.state[w]["momentum_buffer"] for o, w in ((new, one), (old, other))]
        torch.testing.assert_close(*buffers)


def test_a_state_of_torchs_muon_is_gone_on_from():
    weights = matrices()
    old = Muon(weights, **SETTINGS)
    moved(old, weights, 2)
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    new = StackedMuon(copies, **SETTINGS)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    before = [weight.detach().clone() for weight in weights]
    pairs = zip(moved(new, copies, 1, 2), moved(old, weights, 1, 2), before, strict=True)
    for one, other, start in pairs:
        assert (one - other).norm() < 0.02 * (other - start).norm()


def test_a_matrix_without_a_gradient_stays():
    weights = matrices()
    optimiser = StackedMuon(weights, **SETTINGS)
    weights[0].grad = torch.ones_like(weights[0])
    before = [weight.detach().clone() for weight in weights]
    optimiser.step()
    assert (weights[0] != before[0]).any()
    assert all(torch.equal(w, b) for w, b in zip(weights[1:], before[1:], strict=True))


@pytest.mark.parametrize("shape", [(24, 24), (24, 60), (60, 24)])
def test_singular_values_come_near_one(shape):
    stack = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    turned = orthogonalised(stack, (3.4445, -4.7750, 2.0315), 5, 1e-7).float()
    assert turned.shape == stack.shape
    values = torch.linalg.svdvals(turned)
    assert 0.1 < values.min() <= values.max() < 1.4

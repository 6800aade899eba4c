"""Laws of the optimisers: who turns which weights, and a state that survives the disk."""

import pytest
import torch
from torch import nn

from idvid.models.video_transformer import VideoTransformer
from idvid.training.optimisers import (
    build_optimisers,
    hidden_matrices,
    load_optimisers,
    optimiser_tensors,
)
from idvid.training.settings import OptimiserSettings

SETTINGS = OptimiserSettings(num_steps=4, batch_size=2, learning_rate=1e-2, muon=True)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VideoTransformer(latent_channels=4, width=64, depth=2)


def test_every_weight_has_one_optimiser(model):
    owned = [
        id(p)
        for optimiser in build_optimisers(model, SETTINGS)
        for group in optimiser.param_groups
        for p in group["params"]
    ]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


def test_the_first_and_last_layers_are_no_hidden_matrices(model):
    hidden = {id(weight) for weight in hidden_matrices(model)}
    assert id(model.blocks[0].attention.spatial.to_query.weight) in hidden
    for layer in (model.patch_in, model.patch_out, model.noise_in[0], model.noise_in[2]):
        assert id(layer.weight) not in hidden


def test_a_state_survives_as_tensors(model):
    def steps(optimisers, count):
        for index in range(count):
            for parameter in model.parameters():
                generator = torch.Generator().manual_seed(index)
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            for optimiser in optimisers:
                optimiser.step()

    first = build_optimisers(model, SETTINGS)
    steps(first, 2)
    saved, weights = optimiser_tensors(first), nn.Module.state_dict(model)
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    saved = {name: tensor.clone() for name, tensor in saved.items()}
    steps(first, 2)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    again = build_optimisers(model, SETTINGS)
    load_optimisers(again, saved)
    steps(again, 2)
    assert all(torch.equal(expected[name], tensor) for name, tensor in model.state_dict().items())

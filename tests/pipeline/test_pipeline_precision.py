"""Weights rounded once instead of in every step."""

import copy

import pytest
import torch

from idvid import runtime
from idvid.models.conditions import Conditions, Prompt
from idvid.models.face_plan import NUM_EXPRESSION
from idvid.pipeline.precision import autocast, freeze

FRAMES, ROWS, COLUMNS = 2, 3, 4


def predict(model):
    generator = torch.Generator().manual_seed(0)
    conditions = Conditions(
        time_s=torch.arange(FRAMES)[None] / 12,
        prompt=Prompt(
            tokens=torch.randn(1, 3, 64, generator=generator),
            is_token=torch.ones(1, 3, dtype=torch.bool),
            mentions=torch.eye(3)[None, :1],
        ),
        landmarks=torch.rand(1, 1, FRAMES, 5, 2, generator=generator),
        expression=torch.rand(1, 1, FRAMES, NUM_EXPRESSION, generator=generator),
        is_visible=torch.ones(1, 1, FRAMES, dtype=torch.bool),
        slots=torch.zeros(1, 1, dtype=torch.long),
    )
    latents = torch.randn(1, FRAMES, 4, 2 * ROWS, 2 * COLUMNS, generator=generator)
    with torch.inference_mode(), autocast():
        prepared = model.transformer.prepare(conditions, ROWS, COLUMNS)
        return model.transformer(latents, torch.full((1, FRAMES), 0.4), prepared)


def test_a_frozen_model_predicts_the_same_to_the_bit(tiny_model):
    frozen = copy.deepcopy(tiny_model)
    before = predict(tiny_model)
    freeze(frozen)
    assert torch.equal(predict(frozen), before)
    assert before.std() > 0.1


@pytest.mark.skipif(not runtime.has_fast_bf16(), reason="this CPU multiplies in float32")
def test_linear_weights_are_stored_as_they_are_multiplied(tiny_model):
    frozen = copy.deepcopy(tiny_model)
    freeze(frozen)
    dtypes = {
        m.weight.dtype for m in frozen.transformer.modules() if isinstance(m, torch.nn.Linear)
    }
    assert dtypes == {torch.bfloat16}
    assert frozen.transformer.anchor_gain.dtype == torch.float32


def test_pictures_are_decoded_pixel_by_pixel_and_the_same(tiny_model):
    frozen = copy.deepcopy(tiny_model)
    freeze(frozen)
    weights = [m.weight for m in frozen.autoencoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    latents = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    plain, pixelwise = (model.autoencoder.decode(latents) for model in (tiny_model, frozen))
    torch.testing.assert_close(pixelwise, plain)
    assert plain.std() > 0.01

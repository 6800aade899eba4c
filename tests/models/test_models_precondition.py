"""Laws of the prior that the anchors give, and of what passes through without a network."""

from __future__ import annotations

import torch

from idvid.models.video_transformer import PreparedConditions, _precondition


def prepared(mean, variance):
    empty = torch.zeros(0)
    return PreparedConditions(
        embedding=empty,
        prior_mean=mean,
        prior_variance=variance,
        text=(),
        text_bias=empty,
        identity=(),
        time_turns=empty,
        grid_turns=empty,
    )


def test_a_clean_frame_passes_through_whatever_the_network_says():
    latents, output = torch.randn(2, 1, 2, 3, 4, 4)
    conditions = prepared(torch.randn_like(latents), torch.full((1, 2, 1, 4, 4), 0.5))
    torch.testing.assert_close(
        _precondition(latents, torch.ones(1, 2), output, conditions), latents
    )


def test_at_pure_noise_the_guess_is_the_prior():
    noise, output = torch.randn(1, 2, 3, 4, 4), torch.zeros(1, 2, 3, 4, 4)
    mean = torch.randn_like(noise)
    conditions = prepared(mean, torch.full((1, 2, 1, 4, 4), 0.5))
    torch.testing.assert_close(_precondition(noise, torch.zeros(1, 2), output, conditions), mean)


def test_the_guess_is_the_best_linear_one():
    torch.manual_seed(0)
    variance, t = 0.6, 0.4
    mean = torch.full((1, 1, 1, 256, 256), 0.7)
    clean = mean + variance**0.5 * torch.randn_like(mean)
    noisy = t * clean + (1 - t) * torch.randn_like(mean)
    level = torch.full((1, 1), t)
    conditions = prepared(mean, torch.full_like(mean, variance))
    guess = _precondition(noisy, level, torch.zeros_like(mean), conditions)
    error = clean - guess
    assert abs(float((error * (noisy - noisy.mean())).mean())) < 0.01  # nothing linear is left
    deviation = (1 - t) * (variance / (t**2 * variance + (1 - t) ** 2)) ** 0.5
    assert abs(float(error.std()) - deviation) < 0.01
    ones = torch.ones_like(mean)
    scaled = _precondition(noisy, level, ones, conditions) - guess
    torch.testing.assert_close(scaled, deviation * ones)

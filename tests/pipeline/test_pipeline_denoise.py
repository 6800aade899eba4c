"""Laws of the sampler, with exact models in place of a trained one."""

from __future__ import annotations

import pytest
import torch

from idvid.pipeline.denoise import SHARED_NOISE, clip_noise, denoise, guide, hold, time_steps


def test_time_runs_from_noise_to_clean_and_rises():
    steps = time_steps(8)
    assert steps[0] == 0
    assert steps[-1] == 1
    assert (steps.diff() > 0).all()
    assert steps.diff()[0] < steps.diff()[-1]  # shifted: more steps near the noise


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_a_perfect_model_ends_at_its_prediction(num_steps):
    target = torch.randn(1, 3, 2, 4, 4)
    noise, finished = torch.randn(1, 3, 2, 4, 4), torch.zeros(1, 0, 2, 4, 4)
    states = list(denoise(noise, finished, lambda *_: target, num_steps))
    assert len(states) == num_steps
    torch.testing.assert_close(states[-1], target)


def test_the_path_of_a_perfect_model_is_straight():
    target, noise = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1)
    finished = noise[:, :0]
    states = list(denoise(noise, finished, lambda *_: target, 4))
    expected = 1 - time_steps(4)[1:]
    torch.testing.assert_close(torch.cat(states).flatten(), expected, atol=1e-6, rtol=0)


def test_finished_frames_are_given_clean_and_untouched():
    finished = torch.randn(1, 2, 1, 2, 2)
    seen = []

    def predict(z, t):
        seen.append((z[:, :2].clone(), t.clone()))
        return torch.zeros_like(z)

    last = list(denoise(torch.randn(1, 3, 1, 2, 2), finished, predict, 3))[-1]
    assert last.shape[1] == 3
    for given, level in seen:
        assert torch.equal(given, finished)
        assert (level[:, :2] == 1).all()
        assert (level[:, 2:] < 1).all()


def test_clip_noise_is_standard_and_mostly_shared():
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(12, 16, 28, generator=generator)
    noise = clip_noise(common, 6, generator)
    assert noise.shape == (1, 6, 12, 16, 28)
    assert abs(float(noise.std()) - 1) < 0.02
    assert abs(float((noise[0, 0] * noise[0, 1]).mean()) - SHARED_NOISE) < 0.05


def test_guidance_one_is_the_conditional_prediction():
    conditional, unconditional = torch.randn(2, 5)
    torch.testing.assert_close(guide(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(guide(conditional, unconditional, 0.0), unconditional)


def test_holding_fades_with_t_and_never_touches_finished_frames():
    clean, known = torch.full((1, 3, 1, 2, 2), 0.2), torch.ones(1, 3, 1, 2, 2)
    level = torch.tensor([[0.0, 0.3, 1.0]])
    whole = torch.ones_like(clean)
    held = hold(clean, known, whole, level, until=0.6)
    torch.testing.assert_close(held[0, :, 0, 0, 0], torch.tensor([1.0, 0.6, 0.2]))
    half = hold(clean, known / 2, whole / 2, level, until=0.6)
    torch.testing.assert_close(half, (held + clean) / 2)
    assert hold(clean, known, torch.ones(1, 3, 1, 2, 2), level, until=0.0) is clean

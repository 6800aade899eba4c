"""The identity-preservation loss of the video stage, and runs without it or a part of it."""

import pytest
import torch
from video_stages import batch_of, video_stage

from idvid.training.likeness import identity_loss
from idvid.training.pool import Draws


def test_the_identity_loss_teaches_the_video_model_only(tiny, sources):
    stage = video_stage(tiny, sources)
    _, batch = batch_of(stage, sources)
    level = torch.full(batch.time_s.shape, 0.8)
    predicted = (batch.latents + 0.1).requires_grad_(True)
    identity_loss(predicted, batch, level, sources.frozen, rows=2).backward()
    assert predicted.grad[:2].abs().sum() > 0
    assert predicted.grad[2:].abs().sum() == 0
    parts = (sources.frozen.autoencoder, sources.frozen.backbone)
    assert all(p.grad is None for part in parts for p in part.parameters())
    silent = identity_loss(predicted, batch, torch.full_like(level, 0.3), sources.frozen, rows=2)
    assert silent == 0


def test_an_ablation_of_the_identity_loss_sees_the_same_batches(tiny, sources):
    """Without the loss, or without its temporal term, a step draws and measures the same flow."""
    every = {"identity_every": 1, "references": (1, 1)}
    stages = {
        "both": video_stage(tiny, sources, **every),
        "no temporal term": video_stage(tiny, sources, temporal_weight=0.0, **every),
        "none": video_stage(tiny, sources, identity_weight=0.0, **every),
    }
    kept = stages["both"].model.state_dict()
    seen = {}
    for name, stage in stages.items():
        stage.pool.poll()
        stage.model.load_state_dict(kept)
        steps = (Draws.of_step(0, step, "cpu") for step in range(8))
        seen[name] = [stage.losses(stage.model, draws, 1.0) for draws in steps]
    assert all("identity" not in losses for losses in seen["none"])
    flat = [
        [{n: float(v.detach()) for n, v in step.items()} for step in own] for own in seen.values()
    ]
    for both, still, none in zip(*flat, strict=True):
        assert both["flow"] == pytest.approx(none["flow"], rel=1e-5)
        assert none["loss"] == none["flow"]
        assert still["identity"] <= both["identity"] + 1e-5
    assert any(a["identity"] > b["identity"] + 1e-5 for a, b, _ in zip(*flat, strict=True))

"""Training a Wan adapter at a tiny size: the loss falls, the base model stays, the file loads."""

from __future__ import annotations

import json
from dataclasses import replace

import made_up_faces
import numpy as np
import pytest
import torch
import wan_tiny

from idvid.cli import main
from idvid.faces.align import arcface_chips
from idvid.models.wan_adapter import load_wan_adapter
from idvid.models.wan_attach import detach_identity
from idvid.pipeline.vace_load import VaceModel, load_vace
from idvid.pipeline.vace_options import VaceOptions
from idvid.training.adapter import AdapterRun, AdapterSettings, AdapterTrainer, train_adapter
from idvid.training.adapter_data import ShardClips
from idvid.training.adapter_objective import MAX_LEVEL, Draw, noise_levels
from idvid.training.records import record_path, write_record

FRAMES, HEIGHT, WIDTH = 5, 32, 48
SETTINGS = AdapterSettings(
    id_dim=64,
    num_tokens=4,
    depth=1,
    num_steps=15,
    learning_rate=1e-2,
    identity_weight=0.5,
    log_every=5,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A shard of one clip in the true format, with made-up pictures."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    points = np.zeros((1, 3, FRAMES, 5, 2), np.float32)
    face = (made_up_faces.POINTS - 40) / 4  # about 20 px wide, in the frame
    points[0, 0], points[0, 1] = face, face + np.float32([20, 0])
    arrays = {
        "frames": rng.integers(0, 255, (1, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8),
        "landmarks": points,
        "visible": np.ones((1, 3, FRAMES), bool),
        "references": rng.integers(0, 255, (1, 3, 2, 160, 160, 3), dtype=np.uint8),
        "reference_landmarks": np.broadcast_to(made_up_faces.POINTS, (1, 3, 2, 5, 2)),
        "is_person": np.array([[True, True, False]]),
    }
    notes = {"fps": "12.0", "captions": json.dumps([["<c1> talks to <c2>"]])}
    write_record(record_path(folder, "train-00000"), arrays, notes)
    return folder


@pytest.fixture
def run(vace_folder, shards, tmp_path):
    return AdapterRun(base=str(vace_folder), clips=clips_of(shards), folder=tmp_path)


def clips_of(shards):
    return ShardClips(folder=shards, num_frames=FRAMES, max_references=3)


def backbone():
    return wan_tiny.adapter().backbone


def held_losses(trainer, shards):
    """The same clip, levels and noise whenever it is asked."""
    clip = clips_of(shards).draw(np.random.default_rng(1))
    noise = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    found = []
    for level in (0.3, 0.8):
        with torch.no_grad():
            losses = trainer.losses(clip, Draw(levels=(level,), noise=noise))
        found.append({name: float(value) for name, value in losses.items()})
    return found


def test_a_clip_has_its_people_and_no_padding(shards):
    clip = clips_of(shards).draw(np.random.default_rng(0))
    assert clip.caption == "Ana talks to Ben"
    assert clip.video.shape == (1, 3, FRAMES, HEIGHT, WIDTH)
    assert clip.landmarks.shape == (2, FRAMES, 5, 2)
    assert 1 <= clip.crops.has_reference.sum(1).max() <= 2  # as many as there are


def test_a_fresh_adapter_says_what_the_base_model_says(run, shards):
    trainer = AdapterTrainer(run, SETTINGS, backbone())
    fresh = held_losses(trainer, shards)
    detach_identity(trainer.pipeline.transformer)
    assert held_losses(trainer, shards) == fresh


def test_the_draws_of_a_step_are_the_mean_of_steps_with_one_draw(run, shards):
    """Two people, so that their regions are in it; faces are compared at the first low level."""
    trainer = AdapterTrainer(run, SETTINGS, backbone())
    for layer in trainer.adapter.identity_layers.layers:
        torch.nn.init.ones_(layer.gate)
    clip = clips_of(shards).draw(np.random.default_rng(0))
    noise = torch.randn(3, 16, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    levels = (0.8, 0.3, 0.4)
    with torch.no_grad():
        together = trainer.losses(clip, Draw(levels=levels, noise=noise))
        alone = [
            trainer.losses(clip, Draw(levels=(level,), noise=noise[k : k + 1]))
            for k, level in enumerate(levels)
        ]
    mean = torch.stack([losses["flow"] for losses in alone]).mean()
    assert torch.allclose(together["flow"], mean, rtol=1e-5)
    assert torch.allclose(together["identity"], alone[1]["identity"], rtol=1e-5)
    assert not torch.allclose(together["identity"], alone[2]["identity"], rtol=1e-3)


def test_levels_are_shifted_towards_noise_but_some_stay_low():
    rng = np.random.default_rng(0)
    plain, shifted = (np.array(noise_levels(rng, 4000, shift)) for shift in (1.0, 20.0))
    assert np.median(plain) == pytest.approx(0.5, abs=0.02)
    assert np.median(shifted) > 0.9
    assert (shifted < MAX_LEVEL).mean() == pytest.approx(0.125, abs=0.02)
    assert 0 < min(plain) < max(shifted) < 1


def test_levels_are_shifted_as_the_base_models_scheduler_does_it(run):
    own = replace(SETTINGS, level_shift=7.0)
    assert AdapterTrainer(run, SETTINGS, backbone()).level_shift == 3.0  # of wan_tiny
    assert AdapterTrainer(run, own, backbone()).level_shift == 7.0


def test_gates_learn_at_a_rate_of_their_own(run):
    rated = replace(SETTINGS, num_steps=1, learning_rate=1e-4, gate_rate=0.03)
    trainer = train_adapter(run, rated, backbone())
    gates = [float(layer.gate.detach()) for layer in trainer.adapter.identity_layers.layers]
    assert np.abs(gates) == pytest.approx(0.03, rel=1e-3)  # AdamW's first step


def test_padding_is_nobodys_face(run, shards):
    """A person with fewer photos than another is compared with them alone."""
    trainer = AdapterTrainer(run, SETTINGS, backbone())
    clip = replace(clips_of(shards).draw(np.random.default_rng(0)), caption="")
    crops = clip.crops
    one = replace(
        crops,
        chips=crops.chips[:, :1],
        heads=crops.heads[:, :1],
        has_reference=torch.ones(2, 1) > 0,
    )
    # What pads could not be nearer to what is drawn: it is the true face.
    face = arcface_chips(clip.video[0, :, 0][None].expand(2, -1, -1, -1), clip.landmarks[:, 0])
    padded = replace(
        crops,
        chips=torch.stack([one.chips[:, 0], face], 1),
        heads=one.heads.expand(-1, 2, -1, -1, -1),
        has_reference=torch.tensor([[True, False]] * 2),
    )
    latents = trainer.coder.encode(clip.video)
    losses = [
        trainer.objective._identity_loss(replace(clip, crops=given), latents)
        for given in (one, padded)
    ]
    assert torch.allclose(*losses, atol=1e-6)


def test_training_lowers_the_loss_and_leaves_the_base_model_alone(run, shards, vace_folder):
    untrained = held_losses(AdapterTrainer(run, SETTINGS, backbone()), shards)
    assert untrained[0]["identity"] > 0
    assert untrained[1]["identity"] == 0  # too noisy to see a face

    trainer = train_adapter(run, SETTINGS, backbone())
    trained = held_losses(trainer, shards)
    assert all(
        after["loss"] < before["loss"] for before, after in zip(untrained, trained, strict=True)
    )
    fresh = wan_tiny.vace_transformer().state_dict()
    base = trainer.pipeline.transformer.state_dict()
    assert all(torch.equal(base[name], value) for name, value in fresh.items())

    lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15]
    adapter = load_wan_adapter(run.folder / "adapter")
    assert all(float(layer.gate) != 0 for layer in adapter.identity_layers.layers)
    load_vace(
        VaceModel(base=vace_folder, adapter=run.folder / "adapter"),
        VaceOptions(**wan_tiny.VACE_SIZE),
    )


def test_a_run_goes_on_from_its_adapter(run):
    short = replace(SETTINGS, num_steps=2)
    first = train_adapter(run, short, backbone())
    resumed = AdapterTrainer(replace(run, resume=True), short, backbone())
    gates = [
        torch.stack([layer.gate for layer in trainer.adapter.identity_layers.layers])
        for trainer in (first, resumed)
    ]
    assert torch.equal(*gates)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "The adapter needs a base model; name one with --base."),
        (["--base", "x", "--steps", "0"], "--steps is 0; give a number above 0."),
        (["--base", "x"], "There are no clips yet; give --clips a folder of yours, or run"),
    ],
)
def test_what_is_missing_is_one_sentence(arguments, sentence, tmp_path, capsys):
    assert main(["train", "adapter", "--out", str(tmp_path), *arguments]) == 2
    assert sentence in capsys.readouterr().err

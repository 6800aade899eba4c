"""The decoder's stage: crops, adversary, what the student leaves, and what is learnt from it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from idvid.errors import ModelError
from idvid.models.autoencoder import SPATIAL_FACTOR
from idvid.models.checkpoint import STUDENT, load_part
from idvid.training.adversary import PatchAdversary, deceived, unmasked
from idvid.training.cache import derivative_name
from idvid.training.crops import CropSettings, crop_weight, draw_crops
from idvid.training.decoder_stage import DecoderStage
from idvid.training.finished import (
    FinishJob,
    finish_shards,
    finished_name,
    load_finisher,
    placed,
    write_finished,
)
from idvid.training.loop import RunSettings, train
from idvid.training.perceptual import feature_distance
from idvid.training.pool import Draws
from idvid.training.records import Record, record_path
from idvid.training.video_stage import VideoStage


@pytest.fixture(scope="module")
def model(tiny, sources, folder, tmp_path_factory):
    """A model folder with a teacher that never learnt, and its copy as a student."""
    torch.manual_seed(0)
    whole = tmp_path_factory.mktemp("decoder") / "model"
    shutil.copytree(folder / "model", whole)
    stage = VideoStage(tiny, sources, "cpu")
    stage.export(stage.model, whole)
    shutil.copytree(whole / "transformer", whole / STUDENT)
    return whole


@pytest.fixture(scope="module")
def finished(tiny, sources, model):
    """Name of the derivative, made for all shards."""
    job = FinishJob(
        folder=sources.shards, latents=sources.derivative, starts=(model,), settings=tiny
    )
    finish_shards(job)
    return finished_name((model,), sources.derivative)


def test_crops_of_latents_lie_under_the_crops_of_frames():
    rows = torch.arange(64)[:, None].expand(64, 112)
    place = torch.stack([rows, torch.arange(112).expand(64, 112), rows], -1)
    shard = {
        "frames": place.to(torch.uint8).expand(2, 3, 64, 112, 3),
        "landmarks": torch.full((2, 1, 3, 5, 2), 40.0),
        "visible": torch.ones(2, 1, 3, dtype=torch.bool),
    }
    cells = place[::SPATIAL_FACTOR, ::SPATIAL_FACTOR].float().expand(2, 3, -1, -1, -1)
    rule = CropSettings(side_px=32, face_share=0.5, face_weight=2.0, step_px=SPATIAL_FACTOR)
    crops = draw_crops(shard, torch.tensor([0, 1, 1]), np.random.default_rng(0), rule)
    pictures = (crops.pictures(shard["frames"]) + 1) * 127.5
    corners = pictures[:, :, ::SPATIAL_FACTOR, ::SPATIAL_FACTOR]
    under = crops.cells(cells, SPATIAL_FACTOR).movedim(-1, 1)
    torch.testing.assert_close(corners, under)
    torch.testing.assert_close(
        crops.landmarks + crops.corner[:, None, None], torch.full((3, 1, 5, 2), 40.0)
    )
    assert (crops.corner % SPATIAL_FACTOR == 0).all()


def test_faces_weigh_more_where_they_are_seen():
    rule = CropSettings(side_px=32, face_share=1.0, face_weight=2.0)
    landmarks = 16 + 4 * torch.tensor([[[2.0, -1], [1, -1], [-2, -1], [-1, -1], [0, 2]]]).expand(
        2, 1, 5, 2
    )
    weight = crop_weight(landmarks, torch.tensor([[True], [False]]), (32, 32), rule)
    assert weight[0].max() > 2.5
    assert (weight[1] == 1).all()


def test_each_side_learns_from_its_own_loss_alone():
    torch.manual_seed(0)
    adversary = PatchAdversary((8, 8, 8))
    drawn, true = torch.randn(2, 3, 32, 32, requires_grad=True), torch.randn(2, 3, 32, 32)
    deceived(adversary, drawn, true).backward()
    assert drawn.grad is not None
    assert all(p.grad is None for p in adversary.parameters())
    drawn.grad = None
    unmasked(adversary, drawn, true, torch.Generator().manual_seed(0)).backward()
    assert drawn.grad is None
    assert all(p.grad is not None for p in adversary.parameters())


def test_the_adversary_learns_to_tell_blurred_from_sharp():
    torch.manual_seed(0)
    adversary, generator = PatchAdversary((8, 8, 8)), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(adversary.parameters(), lr=3e-3)
    for _ in range(40):
        true = torch.randn(4, 3, 32, 32, generator=generator)
        blurred = torch.nn.functional.avg_pool2d(true, 5, 1, 2)
        loss = unmasked(adversary, blurred, true, generator)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert adversary(true).mean() > adversary(blurred).mean() + 0.1
    assert deceived(adversary, true, true) < deceived(adversary, blurred, true)


def test_the_distance_sees_a_blur(sources):
    torch.manual_seed(0)
    true = torch.rand(2, 3, 32, 32) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(true, 5, 1, 2)
    near = torch.lerp(true, blurred, 0.2)
    backbone = sources.frozen.backbone
    assert (feature_distance(backbone, true, true) == 0).all()
    assert (
        feature_distance(backbone, near, true) < feature_distance(backbone, blurred, true)
    ).all()


def test_what_the_student_leaves_is_kept_beside_the_frames(tiny, sources, model, finished):
    name = "train-00001"
    path = record_path(sources.shards, name, finished)
    record = Record(path)
    cached = Record(record_path(sources.shards, name, sources.derivative))
    latents = torch.from_numpy(record.array("latents")).float().movedim(-1, 2)
    torch.testing.assert_close(latents, torch.from_numpy(cached.array("latents")).float())
    made = torch.from_numpy(record.array("finished")).float().movedim(-1, 2)
    assert made.shape == latents.shape
    assert torch.isfinite(made).all()
    assert (made != latents).flatten(1).any(1).all()  # every clip was finished
    again = path.with_name(f"{name}.again.safetensors")
    shard = Record(record_path(sources.shards, name))
    write_finished(shard, cached, again, load_finisher((model,), tiny))
    assert again.read_bytes() == path.read_bytes()
    again.unlink()


def test_what_decides_the_size_of_a_batch_stays_in_main_memory():
    """On a GPU a batch is gathered by it, and what lies there cannot be page-locked."""
    clips = {name: torch.zeros(2, 3) for name in ("ids", "is_person", "latents")}
    devices = {
        name: value.device.type for name, value in placed(clips, torch.device("meta")).items()
    }
    assert devices == {"ids": "cpu", "is_person": "cpu", "latents": "meta"}


def test_without_a_student_there_is_nothing_to_draw(tiny, folder):
    with pytest.raises(ModelError, match="train 'distil' first"):
        load_finisher((folder / "model",), tiny)


def test_training_draws_better_and_leaves_the_encoder_as_it_was(
    tiny, sources, model, finished, tmp_path
):
    optimiser = replace(tiny.decoder.optimiser, num_steps=60, batch_size=8, learning_rate=2e-3)
    changes = {"optimiser": optimiser, "feature_weight": 1.0, "adversary_weight": 0.01}
    settings = replace(tiny, decoder=replace(tiny.decoder, **changes))
    stage = DecoderStage(settings, sources.shards, finished, (model,), "cpu")
    stage.pool.poll()

    losses = stage.losses(stage.model, Draws.of_step(5, 0), 1.0)
    assert set(losses) == {"loss", "picture", "distance", "deceit", "unmasking"}
    before = stage.validate(stage.model, tmp_path / "before.png")
    own = tmp_path / "model"
    shutil.copytree(model, own)
    measured = train(stage, RunSettings(folder=tmp_path / "decoder", model_folder=own))
    assert measured["distance"] < before["distance"] - 0.05
    assert 0 < measured["edges"] < 2
    assert next((tmp_path / "decoder" / "sheets").glob("*.png")).stat().st_size > 1000
    old, new = (load_part("autoencoder", m / "autoencoder").state_dict() for m in (model, own))
    changed = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert changed <= {"decoder", "linear_decode"}
    assert "decoder" in changed
    none = replace(settings, decoder=replace(settings.decoder, learnt_share=0.0))
    untaught = DecoderStage(none, sources.shards, finished, (own,), "cpu")
    untaught.model["autoencoder"].decoder[0].weight.data += 1
    between = untaught._between(untaught.model).state_dict()["decoder.0.weight"]
    assert torch.equal(between, new["decoder.0.weight"])
    assert derivative_name(own) == derivative_name(model)  # nothing needs to be encoded anew

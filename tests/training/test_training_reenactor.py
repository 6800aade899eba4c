"""The reenactor's stage on real series: what it draws, that it learns, and what it writes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from idvid.models.checkpoint import load_part
from idvid.models.face_plan import NUM_LANDMARKS, pose_residual, turned_like
from idvid.training.colours import recoloured
from idvid.training.loop import RunSettings, train
from idvid.training.pool import Draws
from idvid.training.records import Record, record_path
from idvid.training.reenactor_stage import ReenactorStage, _pairs
from idvid.training.shards import SERIES_PICTURES, SERIES_PX


@pytest.fixture
def stage(tiny, shards):
    stage = ReenactorStage(tiny, shards / "series", (), "cpu")
    stage.pool.poll()
    return stage


def test_a_series_shard_holds_one_person_a_row(tiny, shards):
    record = Record(record_path(shards / "series", "train-00000"))
    people = tiny.data.clips_per_shard
    assert record.shape("frames") == (people, SERIES_PICTURES, SERIES_PX, SERIES_PX, 3)
    frames = np.asarray(record.array("frames"))
    assert (frames[0] != frames[1]).any()
    assert record.shape("mattes") == frames.shape[:-1]
    clips = np.asarray(Record(record_path(shards, "train-00000")).array("landmarks"))
    assert np.asarray(record.array("landmarks")).shape[1:] == (SERIES_PICTURES, 5, 2)
    assert clips.dtype == np.asarray(record.array("landmarks")).dtype


def test_what_moves_the_landmarks_of_one_person_is_told(shards):
    """The directions in which heads turn hold nearly all of what the renderer does within a series."""
    record = Record(record_path(shards / "series", "train-00000"))
    residuals = pose_residual(torch.from_numpy(np.asarray(record.array("landmarks"))).float())
    mean = residuals.mean(1, keepdim=True)
    moved = residuals - mean
    left = residuals - turned_like(mean.expand_as(residuals), residuals)
    assert left.square().sum() < 0.05 * moved.square().sum()


def test_the_source_is_the_photo_that_would_be_laid_of_a_few_other_ones():
    straight = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])
    landmarks = straight + torch.tensor([-3.0, -2, 2, 14, 0, 15])[:, None, None] * torch.tensor(
        [[0.0, 0], [0, 0], [0, 0], [0, 0], [1, 0]]
    )
    people = landmarks.expand(300, -1, -1, -1)
    pairs = _pairs(people, np.random.default_rng(0)).tolist()
    assert all(source != target for source, target in pairs)
    assert {source for source, _ in pairs} == set(range(6))
    ahead = [source for source, target in pairs if target in (0, 1, 2)]
    assert ahead.count(4) > 0.4 * len(ahead)  # of all drawn at random: 0.2
    turned = [source for source, target in pairs if target == 5]  # much more like number 3
    assert turned.count(3) > 0.4 * len(turned)


def test_heads_are_drawn_with_their_mattes_which_fade_out_at_the_crops_borders(tiny, stage):
    pairs = stage._draw(stage.pool, Draws.of_step(0, 0), 8)
    size = tiny.reenactor.size_px
    assert pairs.source.shape == pairs.target.shape == (8, 3, size, size)
    for cut_out, matte in zip(
        pairs.cut_out(), (pairs.source_matte, pairs.target_matte), strict=True
    ):
        assert cut_out.shape == (8, 4, size, size)
        assert torch.equal(cut_out[:, 3:], matte)
        assert (matte[..., size // 2, size // 2] > 0.9).all()  # the middle of the face
        assert matte[..., 0].max() < 0.5 < matte.max() <= 1
        assert matte.min() >= 0


def test_landmarks_of_the_photo_err_and_those_that_are_wanted_do_not(tiny, shards):
    told = []
    for misplaced in (0.0, 0.05):
        settings = replace(tiny, reenactor=replace(tiny.reenactor, misplaced=misplaced))
        stage = ReenactorStage(settings, shards / "series", (), "cpu")
        stage.pool.poll()
        told.append(stage._draw(stage.pool, Draws.of_step(0, 0), 8).told)
    source, target = slice(0, 2 * NUM_LANDMARKS), slice(2 * NUM_LANDMARKS, 4 * NUM_LANDMARKS)
    assert (told[0][:, source] != told[1][:, source]).all()
    turns = [
        turned_like(torch.zeros(8, NUM_LANDMARKS, 2), row[:, target].unflatten(1, (-1, 2)))
        for row in told
    ]
    torch.testing.assert_close(turns[0], turns[1], atol=5e-3, rtol=0)


def test_both_pictures_of_a_pair_are_recoloured_alike():
    picture = torch.rand(4, 3, 8, 8) - 0.5
    changed, also = recoloured((picture, picture.clone()), Draws.of_step(0, 0))
    assert torch.equal(changed, also)
    assert (changed != picture).any()


def test_training_learns_to_change_faces_and_is_written(tiny, shards, tmp_path):
    """Forty steps on four people: less is left of the difference than at the start."""
    optimiser = replace(tiny.reenactor.optimiser, num_steps=40, batch_size=8, learning_rate=3e-3)
    settings = replace(tiny, reenactor=replace(tiny.reenactor, optimiser=optimiser))
    stage = ReenactorStage(settings, shards / "series", (), "cpu")
    stage.pool.poll()

    def loss(model):
        with torch.no_grad():
            return float(stage.losses(model, Draws.of_step(5, 0), 0.0)["picture"])

    before = loss(stage.model)
    measured = train(
        stage, RunSettings(folder=tmp_path / "reenactor", model_folder=tmp_path / "model")
    )
    assert loss(stage.model) < 0.95 * before
    assert 0 < measured["left"] < 1.5
    sheet = next((tmp_path / "reenactor" / "sheets").glob("*.png"))
    assert sheet.stat().st_size > 1000
    part = load_part("reenactor", tmp_path / "model" / "reenactor")
    assert part.config["size_px"] == settings.reenactor.size_px


def test_faces_are_kept_alike_where_a_backbone_is_at_hand(tiny, shards, sources, folder):
    assert sources.frozen.backbone is not None
    stage = ReenactorStage(tiny, shards / "series", (folder / "model",), "cpu")
    stage.pool.poll()
    losses = stage.losses(stage.model, Draws.of_step(5, 0), 0.0)
    assert 0 < float(losses["identity"].detach()) < 2
    losses["identity"].backward()
    assert stage.model.leave[0].weight.grad.abs().sum() > 0
    alone = ReenactorStage(tiny, shards / "series", (), "cpu")
    alone.pool.poll()
    assert "identity" not in alone.losses(alone.model, Draws.of_step(5, 0), 0.0)


def test_a_run_goes_on_from_the_weights_that_are_there(tiny, shards, stage, tmp_path):
    stage.export(stage.model, tmp_path)
    again = ReenactorStage(tiny, shards / "series", (tmp_path,), "cpu")
    for name, value in stage.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value.half().float())

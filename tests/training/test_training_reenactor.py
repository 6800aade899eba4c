"""The reenactor's stage on real series: what it draws, that it learns, and what it writes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from idvid.models.checkpoint import load_part
from idvid.training.colours import recoloured
from idvid.training.loop import RunSettings, train
from idvid.training.pool import Draws
from idvid.training.records import Record, record_path
from idvid.training.reenactor_stage import ReenactorStage, _best_posed
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
    clips = np.asarray(Record(record_path(shards, "train-00000")).array("landmarks"))
    assert np.asarray(record.array("landmarks")).shape[1:] == (SERIES_PICTURES, 5, 2)
    assert clips.dtype == np.asarray(record.array("landmarks")).dtype


def test_the_source_is_the_best_posed_of_a_few_other_pictures():
    torch.manual_seed(0)
    landmarks = torch.rand(6, 5, 2) * 40
    landmarks[3] = landmarks[1] + 0.01
    picks = [_best_posed(landmarks, np.random.default_rng(seed)) for seed in range(200)]
    assert all(source != target for source, target in picks)
    partners = [source for source, target in picks if target == 1]
    assert partners.count(3) > 0.3 * len(partners)  # a random other one: 0.2


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

"""The head matte's stage on real photos: what it draws, that it learns, and what it writes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from idvid.models.checkpoint import load_part, save_part
from idvid.models.head_crops import upright_heads
from idvid.models.head_matte import HeadMatte
from idvid.training.cache import derivative_name, write_encoded
from idvid.training.loop import RunSettings, train
from idvid.training.matte_stage import MatteStage
from idvid.training.pool import Draws
from idvid.training.records import Record, record_path
from idvid.training.shards import CUTOUT_PHOTOS


@pytest.fixture
def record(shards):
    return Record(record_path(shards / "cutouts", "train-00000"))


def staged(tiny, shards, **changes):
    settings = replace(tiny, matte=replace(tiny.matte, **changes))
    stage = MatteStage(settings, shards / "cutouts", (), "cpu")
    stage.pool.poll_all()
    return stage


def test_a_shard_holds_photos_whose_people_are_known_to_the_pixel(tiny, record):
    people, side = tiny.data.clips_per_shard, tiny.data.reference_px
    assert record.shape("frames") == (people, CUTOUT_PHOTOS, side, side, 3)
    mattes = np.asarray(record.array("mattes"))
    assert mattes.shape == (people, CUTOUT_PHOTOS, side, side)
    assert ((mattes == 0).mean() > 0.1) & ((mattes == 255).mean() > 0.2)
    landmarks = np.asarray(record.array("landmarks")).round().astype(int)
    each = zip(mattes.reshape(-1, side, side), landmarks.reshape(-1, 5, 2), strict=True)
    for matte, points in each:
        assert (matte[points[:, 1], points[:, 0]] == 255).all()  # eyes and noses are theirs
        assert (matte[0, [0, -1]] == 0).all()


def test_a_new_backdrop_leaves_the_person_as_they_were(tiny, shards):
    kept, moved = (
        staged(tiny, shards, backdrop_share=share)._draw(
            staged(tiny, shards).pool, Draws.of_step(0, 0), 8
        )
        for share in (0.0, 1.0)
    )
    torch.testing.assert_close(kept.mattes, moved.mattes)
    difference = (kept.heads - moved.heads).abs().amax(1, keepdim=True)
    assert difference[moved.mattes > 0.999].max() < 1e-2
    assert difference[moved.mattes < 0.001].mean() > 0.05


def test_heads_are_cut_with_their_mattes(tiny, shards, record):
    stage = staged(tiny, shards, backdrop_share=0.0, misplaced=0.0)
    drawn = stage._draw(stage.pool, Draws.of_step(0, 0), 4)
    assert drawn.mattes.amin() >= 0
    assert drawn.mattes.amax() <= 1
    size = tiny.matte.size_px
    photos = torch.from_numpy(np.asarray(record.array("mattes"))).flatten(0, 1)[:, None].float()
    points = torch.from_numpy(np.asarray(record.array("landmarks"))).flatten(0, 1)
    known = upright_heads(photos / 255, points, size)
    distance = (drawn.mattes[:, None] - known[None]).abs().mean((-1, -2, -3))
    assert (distance.amin(1) < 1e-4).any()


def test_photos_are_cut_out_for_the_video_model(shards, sources, tmp_path):
    """Of what it reads, the anchors alone are others then."""
    torch.manual_seed(0)
    matte = HeadMatte(size_px=32, widths=(8, 8, 8)).eval().requires_grad_(False)
    shard, path = Record(record_path(shards, "train-00000")), tmp_path / "train-00000.cut"
    write_encoded(shard, path, replace(sources.frozen, matte=matte))
    cut, whole = Record(path), Record(record_path(shards, "train-00000", sources.derivative))
    for name in ("latents", "vectors", "patches", "chosen"):
        assert np.array_equal(cut.array(name), whole.array(name)), name
    assert not np.array_equal(cut.array("anchors"), whole.array("anchors"))


def test_shards_that_were_encoded_without_a_matte_are_encoded_again(folder, sources, tmp_path):
    assert derivative_name(folder / "model") == sources.derivative
    shutil.copytree(folder / "model", tmp_path / "model")
    save_part(HeadMatte(size_px=32, widths=(8, 8, 8)), tmp_path / "model" / "matte")
    assert derivative_name(tmp_path / "model") != sources.derivative


def test_training_learns_to_cut_heads_out_and_is_written(tiny, shards, tmp_path):
    optimiser = replace(tiny.matte.optimiser, num_steps=60, batch_size=8, learning_rate=3e-3)
    stage = staged(tiny, shards, optimiser=optimiser)

    def loss(model):
        with torch.no_grad():
            return float(stage.losses(model, Draws.of_step(5, 0), 0.0)["loss"])

    before = loss(stage.model)
    measured = train(stage, RunSettings(folder=tmp_path / "matte", model_folder=tmp_path / "model"))
    assert loss(stage.model) < 0.7 * before
    assert measured["error"] < 0.35
    assert measured["overlap"] > 0.5
    assert next((tmp_path / "matte" / "sheets").glob("*.png")).stat().st_size > 1000
    part = load_part("matte", tmp_path / "model" / "matte")
    assert part.config["size_px"] == tiny.matte.size_px

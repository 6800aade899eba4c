"""Laws of the loop and of the stages, on real shards and tiny models."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from video_stages import batch_of, video_stage

from idvid.conditioning.text import slot_ids
from idvid.models.checkpoint import PART_CLASSES, load_bundled, load_part
from idvid.training.cache import derivative_name
from idvid.training.flow import flow_losses
from idvid.training.loop import RunSettings, train
from idvid.training.objective import frame_levels
from idvid.training.planner_stage import PlannerStage
from idvid.training.pool import Draws
from idvid.training.state import FILE_LIMIT_BYTES, load_state, save_state
from idvid.training.video_batch import draw_batch


class Kill(BaseException):
    """What a kill does to a run, without ending the tests."""


@pytest.mark.parametrize("muon", [False, True])
def test_a_killed_run_resumes_bit_for_bit(tiny, sources, tmp_path, muon):
    tiny = replace(
        tiny, video=replace(tiny.video, optimiser=replace(tiny.video.optimiser, muon=muon))
    )

    def run(name, resume=False):
        return RunSettings(folder=tmp_path / name, model_folder=tmp_path / "m", resume=resume)

    whole = video_stage(tiny, sources)
    train(whole, run("whole"))

    killed = video_stage(tiny, sources)
    losses, calls = killed.losses, []

    def dies_in_the_fourth_step(*arguments):
        calls.append(0)
        if len(calls) == 4:
            raise Kill
        return losses(*arguments)

    killed.losses = dies_in_the_fourth_step
    with pytest.raises(Kill):
        train(killed, run("killed"))
    resumed = video_stage(tiny, sources)
    resumed.model.apply(lambda m: m.reset_parameters() if isinstance(m, nn.Linear) else None)
    train(resumed, run("killed", resume=True))

    one, two = load_state(tmp_path / "whole")[0], load_state(tmp_path / "killed")[0]
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    moved = [name for name in one if name.startswith("model/") and one[name].is_floating_point()]
    fresh = {f"model/{n}": t for n, t in video_stage(tiny, sources).model.state_dict().items()}
    assert any(not torch.equal(one[name], fresh[name]) for name in moved)


def test_video_training_lowers_the_loss(tiny, sources, tmp_path):
    steps = 30
    changes = replace(
        tiny.video.optimiser, num_steps=steps, learning_rate=5e-3, checkpoint_every=steps
    )
    stage = video_stage(tiny, sources, optimiser=changes, identity_every=10)
    _, batch = batch_of(stage, sources, rows=4)
    level = frame_levels(4, 8, (1, 0, 0), torch.Generator().manual_seed(0))

    def loss():
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return float(flow_losses(stage.model, batch, level, generator, (1.0, 0.0))[1])

    before = loss()
    measured = train(stage, RunSettings(folder=tmp_path / "run", model_folder=tmp_path / "model"))
    # An untrained model already gives the best linear guess, so little is left to win in 30 steps.
    assert loss() < 0.95 * before
    assert {"flow", "own", "nearest"} <= measured.keys()
    assert list((tmp_path / "run" / "sheets").glob("*.png"))
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if "loss" in x] == list(range(1, steps + 1))
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert isinstance(load_part("transformer", tmp_path / "model" / "transformer"), nn.Module)


def test_the_best_look_at_held_out_people_is_what_a_run_leaves(tiny, sources, tmp_path):
    flows = [0.9, 0.5, math.nan, 0.6, 0.7]  # of four steps, and of the end
    changes = replace(tiny.video.optimiser, num_steps=4, learning_rate=5e-3, sheet_minutes=0.0)
    stage = video_stage(tiny, sources, optimiser=changes)
    looks, left = iter(flows), []

    def looks_at(model, sheet):
        left.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"flow": next(looks)}

    stage.validate = looks_at
    train(stage, RunSettings(folder=tmp_path / "run", model_folder=tmp_path / "model"))
    kept = load_part("transformer", tmp_path / "model" / "transformer").state_dict()
    same = [
        all(torch.allclose(kept[n], look[f"transformer.{n}"], atol=5e-4, rtol=0) for n in kept)
        for look in left
    ]
    assert same == [False, True, False, False, False]


def test_dropped_identity_is_the_base_model(tiny, sources):
    stage = video_stage(tiny, sources)
    for parameter in stage.model.parameters():  # zero gates would hide everything
        nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(1))
    _, batch = batch_of(stage, sources, drop_identity=1.0)
    strangers = replace(
        batch,
        vectors=batch.vectors.flip(0) + 1,
        patches=batch.patches * 2,
        anchors=torch.randn(batch.anchors.shape, generator=torch.Generator().manual_seed(2)),
    )
    level = frame_levels(4, 8, (1, 0, 0), torch.Generator().manual_seed(0))

    def predicted(rows):
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return flow_losses(stage.model, rows, level, generator, (1.0, 0.0))[0]

    assert torch.equal(predicted(batch), predicted(strangers))
    given = torch.ones_like(batch.is_given)
    assert not torch.equal(
        predicted(replace(batch, is_given=given)), predicted(replace(strangers, is_given=given))
    )


def test_shuffled_slots_go_to_captions_and_references_alike(tiny, sources):
    stage = video_stage(tiny, sources)
    raw, batch = batch_of(stage, sources, rows=16, shuffle_slots=1.0)
    ids = slot_ids(sources.tokenizer)
    assert (batch.slots != torch.arange(batch.slots.shape[1])).any()
    for row in range(16):
        for character in torch.nonzero(raw["is_person"][row]).flatten().tolist():
            was = raw["ids"][row] == ids[character]
            now = batch.ids[row] == ids[batch.slots[row, character]]
            assert was.any()
            assert torch.equal(was, now)


def test_references_are_one_to_eight_and_missing_people_have_none(tiny, sources):
    stage = video_stage(tiny, sources)
    raw, batch = batch_of(stage, sources, rows=16)
    counts = batch.has_reference.sum(-1)
    assert torch.equal(counts > 0, raw["is_person"])
    assert set(counts[raw["is_person"]].tolist()) <= set(range(1, 9))


def test_a_batch_has_one_number_of_people_and_no_padding_of_others(tiny, sources):
    stage = video_stage(tiny, sources)
    stage.pool.poll()
    seen = set()
    for seed in range(12):
        draws = Draws.of_step(seed, 0)
        rows = draw_batch(stage.pool, draws, (4, 1), slot_ids(sources.tokenizer), references=1)
        assert rows["is_person"].all()
        assert rows["vectors"].shape[2] == 1
        assert rows["ids"].shape[1] % 48 == 0
        seen.add(rows["is_person"].shape[1])
    assert len(seen) > 1


@pytest.mark.parametrize("wanted", [0, 1, 2, 3])
def test_batches_show_as_many_people_as_the_shares_say(tiny, sources, wanted):
    stage = video_stage(tiny, sources)
    stage.pool.poll()
    held = {int(n) for shard in stage.pool.shards for n in shard["is_person"].sum(1)}
    shares = tuple(float(index == wanted) for index in range(4))
    names = slot_ids(sources.tokenizer)
    for step in range(6):
        rows = draw_batch(stage.pool, Draws.of_step(0, step), (2, 1), names, people_shares=shares)
        drawn = rows["is_person"].sum(1)
        assert (
            drawn.unique().tolist() == [wanted + 1] if wanted + 1 in held else int(drawn[0]) in held
        )


def test_latents_and_anchors_belong_to_the_frames(tiny, sources):
    """Where an anchor covers the picture, it is nearer to its own frame than to another clip's."""
    stage = video_stage(tiny, sources)
    stage.pool.poll()
    shard = stage.pool.shards[0]
    covered = shard["anchors"][:, :1, :, -1:].float() > 0.8
    difference = [
        ((shard["anchors"][0, 0, :, :-1].float() - shard["latents"][clip].float()) * covered[0, 0])
        .square()
        .mean()
        for clip in (0, 1)
    ]
    assert difference[0] < difference[1]


def test_other_weights_need_other_latents(tiny, sources, folder, tmp_path):
    import shutil

    shutil.copytree(folder / "model", tmp_path / "model")
    assert derivative_name(tmp_path / "model") == sources.derivative
    autoencoder = load_part("autoencoder", tmp_path / "model" / "autoencoder")
    autoencoder.latent_mean += 1
    autoencoder.save_pretrained(tmp_path / "model" / "autoencoder")
    assert derivative_name(tmp_path / "model") != sources.derivative


def test_planner_trains_and_completes_the_model(tiny, shards, sources, tokenizer, folder, tmp_path):
    import shutil

    model = tmp_path / "model"
    shutil.copytree(folder / "model", model)
    video_stage(tiny, sources).export(video_stage(tiny, sources).model, model)
    stage = PlannerStage(tiny, shards, tokenizer, (), "cpu")
    measured = train(stage, RunSettings(folder=tmp_path / "planner", model_folder=model))
    assert measured["loss"] > 0
    assert set(load_bundled(model).parts()) == set(PART_CLASSES)


def test_a_part_of_the_same_sizes_is_taken_over(tiny, sources, tmp_path):
    first = video_stage(tiny, sources)
    nn.init.normal_(first.model["identity_bank"].slot_embedding, std=3.0)
    first.export(first.model, tmp_path)
    again = video_stage(tiny, replace(sources, starts=(tmp_path,)))
    expected = first.model["identity_bank"].slot_embedding.half().float()
    assert torch.equal(again.model["identity_bank"].slot_embedding, expected)
    wider = video_stage(tiny, replace(sources, starts=(tmp_path,)), width=128)
    assert wider.model["identity_bank"].slot_embedding.shape[1] == 128


def test_a_checkpoint_is_whole_and_in_small_files(tmp_path):
    tensors = {str(index): torch.full((1_500_000,), float(index)) for index in range(6)}
    for step in (2, 4, 6):
        save_state(tmp_path, step, tensors, {"shards": ["a"]})
    (tmp_path / ".step-00000008.part").mkdir()
    loaded, notes = load_state(tmp_path)
    assert notes == {"shards": ["a"], "step": 6}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    files = list((tmp_path / "step-00000006").glob("*.safetensors"))
    assert len(files) > 1
    assert max(path.stat().st_size for path in files) < FILE_LIMIT_BYTES + 4096
    assert sorted(path.name for path in tmp_path.glob("step-*")) == [
        "step-00000004",
        "step-00000006",
    ]


@pytest.mark.parametrize("is_fast", [False, True])
def test_products_are_in_bfloat16_only_where_the_processor_has_them(
    tiny, sources, tmp_path, monkeypatch, is_fast
):
    monkeypatch.setattr("idvid.runtime.machine.has_fast_bf16", lambda: is_fast)
    stage, seen = video_stage(tiny, sources), []
    losses = stage.losses

    def watched(*arguments):
        seen.append(torch.is_autocast_enabled("cpu"))
        return losses(*arguments)

    stage.losses = watched
    train(stage, RunSettings(folder=tmp_path / "run", model_folder=tmp_path / "model"))
    assert seen == [is_fast] * tiny.video.optimiser.num_steps

"""Laws of the plans of clips, of shards of different ages, and of vocabularies that grow."""

import json

import numpy as np
import pytest
import torch

from idvid.conditioning.text import build_tokenizer, grown_tokenizer
from idvid.models.checkpoint import PART_CLASSES, save_part
from idvid.people import sample_person
from idvid.people.seeds import split_of
from idvid.training.casting import captions_of, plan_clip, plan_photos
from idvid.training.planner_stage import read_traces
from idvid.training.records import Record, record_path, write_record
from idvid.training.seeding import person_seeds
from idvid.training.stage import start_part
from idvid.training.video_batch import _frames, read_cached
from idvid.training.vocabulary import obtain_tokenizer, vocabulary


def test_changed_clothes_are_said_and_photos_never_show_them():
    changed = 0
    for number in range(60):
        plan = plan_clip("train", number)
        texts = captions_of(plan, plan.scene(16, 12.0))
        for place, worn in enumerate(plan.worn):
            photos = plan_photos(plan, place, 8)
            assert plan_photos(plan, place, 5) == photos[:5]
            assert {split_of(photo.seed) for photo in photos} == {"train"}
            if worn is None:
                assert all(photo.clothes is None for photo in photos)
                continue
            changed += 1
            assert all(worn.colour in text for text in texts)
            shown = {(photo.clothes or plan.specs[place].clothes).colour for photo in photos}
            assert worn.colour not in shown
    assert changed > 15


def test_dark_skin_is_no_rarity_in_training_and_validation_people_are_as_their_seeds_have_them():
    plans = {
        split: [plan_clip(split, n, 3) for n in range(150)] for split in ("train", "validation")
    }
    skins = {split: [s.skin for plan in own for s in plan.specs] for split, own in plans.items()}
    dark = {split: np.mean([s.melanin > 0.76 for s in own]) for split, own in skins.items()}
    assert dark["train"] > 0.08 > dark["validation"]
    assert all(skin.freckles == 0 for skin in skins["train"] if skin.melanin >= 0.45)
    seeds = [person_seeds("validation", n, 3) for n in range(150)]
    assert skins["validation"] == [sample_person(seed).skin for row in seeds for seed in row]


def _cached(folder, name, characters, chosen):
    """A shard of latents as the given version of the cache wrote it."""
    arrays = {
        "latents": np.zeros((2, 4, 1, 2, 2), np.float16),
        "anchors": np.zeros((2, 2, 4, 2, 2, 2), np.float16),
        "chosen": np.zeros((2, 2, characters, chosen), np.int64),
        "vectors": np.ones((2, characters, 5, 3), np.float16),
        "patches": np.ones((2, characters, 5, 2, 3), np.float16),
        "landmarks": np.ones((2, characters, 4, 5, 2), np.float32),
        "expression": np.ones((2, characters, 4, 9), np.float32),
        "visible": np.ones((2, characters, 4), bool),
        "is_person": np.ones((2, characters), bool),
    }
    notes = {"fps": "12.0", "captions": json.dumps([["a man"]] * 2)}
    write_record(record_path(folder, name), arrays, notes)
    return Record(record_path(folder, name))


def test_shards_of_both_ages_are_read_alike(tmp_path):
    tokenizer = build_tokenizer(["a", "man"])
    old = read_cached(_cached(tmp_path, "train-00000", 3, 4), tokenizer)
    with torch.autocast("cpu", torch.bfloat16):  # as the loop reads them
        new = read_cached(_cached(tmp_path, "train-00001", 4, 8), tokenizer)
    assert {k: v.shape for k, v in old.items()} == {k: v.shape for k, v in new.items()}
    assert old["is_person"].tolist() == [[True, True, True, False]] * 2
    assert (old["chosen"][:, :, 3] == -1).all()
    assert (old["chosen"][..., 4:] == -1).all()
    assert (old["chosen"][:, :, :3, :4] == 0).all()


def test_traces_of_older_shards_are_padded(tmp_path):
    arrays = {
        "landmarks": np.ones((2, 3, 6, 5, 2), np.float32),
        "expression": np.ones((2, 3, 6, 9), np.float32),
        "is_person": np.ones((2, 3), bool),
    }
    notes = {"fps": "12.0", "captions": json.dumps([["a man"]] * 2)}
    write_record(record_path(tmp_path, "train-00000"), arrays, notes)
    rows = read_traces(Record(record_path(tmp_path, "train-00000")), build_tokenizer(["a", "man"]))
    assert rows["landmarks"].shape == (2, 4, 6, 5, 2)
    assert rows["is_person"].tolist() == [[True, True, True, False]] * 2


def test_a_grown_tokenizer_keeps_every_id():
    old = build_tokenizer(["camera", "man"])
    new = grown_tokenizer(old, ["a", "man", "zooms"])
    assert old.get_vocab().items() <= new.get_vocab().items()
    assert new.get_vocab()["a"] == len(old)
    assert new.get_vocab()["zooms"] == len(old) + 1


def test_a_run_goes_on_from_older_words_and_their_vectors(tmp_path):
    old = build_tokenizer(["man", "woman"])
    old.save_pretrained(tmp_path / "shipped" / "tokenizer")
    config = {"vocabulary_size": len(old), "width": 64}
    trained = PART_CLASSES["prompt_encoder"].from_config(config)
    save_part(trained, tmp_path / "shipped" / "prompt_encoder")
    new = obtain_tokenizer(tmp_path / "run", tmp_path / "none", tmp_path / "shipped" / "tokenizer")
    assert vocabulary() <= new.get_vocab().keys()
    part, is_fresh = start_part(
        "prompt_encoder", config | {"vocabulary_size": len(new)}, (tmp_path / "shipped",)
    )
    kept, rows = trained.embedding.weight, part.embedding.weight
    assert not is_fresh
    assert len(rows) == len(new)
    assert torch.allclose(rows[: len(old)], kept, atol=1e-3)  # parts are stored in half precision
    assert 0.5 < rows[len(old) :].std() / kept.std() < 2
    word = torch.tensor([[old.get_vocab()["woman"]]])
    with torch.no_grad():
        assert torch.allclose(part.eval()(word)[0], trained.eval()(word)[0], atol=1e-2)
    assert obtain_tokenizer(tmp_path / "run").get_vocab() == new.get_vocab()


@pytest.mark.parametrize(("total", "count"), [(16, 1), (16, 8), (8, 8)])
def test_frames_are_in_order_and_all_come_up(total, count):
    frames = _frames(np.random.default_rng(0), 500, total, count)
    assert frames.shape == (500, count)
    assert (np.diff(frames, axis=1) > 0).all()
    assert set(frames.ravel()) == set(range(total))

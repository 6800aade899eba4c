"""Laws of the data: seeds, bytes, resuming, streaming."""

import json
import multiprocessing
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from idvid.errors import InputError
from idvid.training.cache import CacheJob, encode_shards
from idvid.training.feeder import Feeder, FeederJob, clip_jobs, make_shards
from idvid.training.pool import ShardKind, ShardPool, tensors_of
from idvid.training.records import Record, clear_partials, record_names, record_path, write_record
from idvid.training.shards import FACE_PEOPLE, ShardJob, write_clips


def test_the_same_shard_has_the_same_bytes(tiny, shards, tmp_path):
    job = ShardJob(split="validation", number=0)
    write_clips(tmp_path, job, tiny.data)
    again = record_path(tmp_path, job.name).read_bytes()
    assert again == record_path(shards, job.name).read_bytes()


def test_a_killed_renderer_goes_on_where_it_stopped(tiny, shards, tmp_path):
    jobs = clip_jobs(tiny.data)
    for job in jobs[:-1]:
        record_path(tmp_path, job.name).write_bytes(record_path(shards, job.name).read_bytes())
    stamps = [record_path(tmp_path, job.name).stat().st_mtime_ns for job in jobs[:-1]]
    (tmp_path / f".{jobs[-1].name}.safetensors.99.part").write_bytes(b"half a shard")
    clear_partials(tmp_path)
    make_shards(FeederJob(folder=tmp_path, data=tiny.data, kinds=("clips",)))
    assert [record_path(tmp_path, job.name).stat().st_mtime_ns for job in jobs[:-1]] == stamps
    last = record_path(tmp_path, jobs[-1].name)
    assert last.read_bytes() == record_path(shards, jobs[-1].name).read_bytes()
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def _write_for_ever(folder):
    number = 0
    while True:
        values = np.full((4, 200_000), number, np.int32)
        write_record(record_path(folder, f"train-{number:05d}"), {"values": values}, {})
        number += 1


def test_a_kill_while_writing_leaves_only_whole_shards(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(tmp_path,))
    process.start()
    while len(record_names(tmp_path, "train")) < 5:
        time.sleep(0.01)
    process.kill()
    process.join()
    names = record_names(tmp_path, "train")
    assert len(names) >= 5
    for name in names:
        values = Record(record_path(tmp_path, name)).array("values")
        assert (values == int(name.split("-")[1])).all()


def test_a_shard_holds_what_it_says(tiny, shards):
    record = Record(record_path(shards, "train-00000"))
    assert record.shape("frames") == (2, 16, 64, 112, 3)
    assert record.shape("references") == (2, 4, 2, 64, 64, 3)
    captions = json.loads(record.notes["captions"])
    assert all(len(phrasings) == 3 for phrasings in captions)
    for count, phrasings in zip(record.array("is_person").sum(1), captions, strict=True):
        assert all(("<c1>" in text) and (f"<c{count}>" in text) for text in phrasings)
    assert Record(record_path(shards, "train-00001")).shape("frames")[1] == 8


def test_people_of_face_shards_are_in_no_clip(tiny, shards):
    """A face shard is full of people, and no face of it is in a shard of clips."""
    record = Record(record_path(shards / "faces", "train-00000"))
    assert (record.array("is_person").sum(1) == FACE_PEOPLE).all()
    assert record.shape("frames")[1] == 3
    clips = Record(record_path(shards, "train-00000")).array("references")
    portraits = record.array("references")[:, :FACE_PEOPLE]
    for portrait in portraits.reshape(-1, *clips.shape[-3:]):
        assert (portrait != clips.reshape(-1, *clips.shape[-3:])).any(axis=(1, 2, 3)).all()


def test_kinds_grow_side_by_side_and_only_those_asked_for(tiny, monkeypatch, tmp_path):
    made = []
    for kind in ("clips", "faces", "series", "traces"):
        monkeypatch.setattr(
            f"idvid.training.feeder.write_{kind}", lambda *_, kind=kind: made.append(kind)
        )
    data = replace(tiny.data, num_shards=38, num_validation_shards=2, num_face_shards=18)
    make_shards(FeederJob(folder=tmp_path, data=data, kinds=("clips", "faces")))
    assert (made.count("clips"), made.count("faces")) == (40, 20)
    assert made[:30].count("faces") == 10
    assert not {"series", "traces"} & set(made)


def test_renderers_leave_room_on_the_disk(tiny, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("idvid.training.feeder.write_traces", lambda *_: made.append(0))
    job = FeederJob(folder=tmp_path / "shards", data=tiny.data, kinds=("traces",))
    make_shards(job)
    assert len(made) == 2
    monkeypatch.setattr("idvid.training.feeder.MIN_FREE_BYTES", 10**18)
    with pytest.raises(InputError, match=r"GB are free .* give --out on a larger disk"):
        make_shards(job)
    assert len(made) == 2


def test_a_view_is_written_as_the_array_it_shows(tmp_path):
    view = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
    write_record(tmp_path / "a.safetensors", {"view": view}, {})
    assert np.array_equal(Record(tmp_path / "a.safetensors").array("view"), view)


def _pool(folder, limit=10):
    def read(record):
        return tensors_of(record, "values")

    return ShardPool(ShardKind(folder=folder, split="train", derivative="", read=read), limit)


def _put(folder, number):
    values = {"values": np.full((3, 1), number, np.float32)}
    write_record(record_path(folder, f"train-{number:05d}"), values, {})


def test_the_stream_sees_new_shards_and_keeps_their_order(tmp_path):
    pool = _pool(tmp_path)
    assert pool.poll() == 0
    _put(tmp_path, 5)
    assert pool.poll() == 1
    _put(tmp_path, 2)
    assert pool.poll() == 1
    assert pool.names == ["train-00005", "train-00002"]
    drawn = pool.draw(np.random.default_rng(0), 64)
    assert {float(shard["values"][rows][0]) for shard, rows in drawn} == {5.0, 2.0}


def test_a_restored_pool_draws_what_it_drew(tmp_path):
    for number in range(4):
        _put(tmp_path, number)
    pool, other = _pool(tmp_path), _pool(tmp_path)
    pool.poll()
    other.restore(pool.names)
    one, two = (
        [
            (float(shard["values"][0]), rows.tolist())
            for shard, rows in p.draw(np.random.default_rng(3), 9)
        ]
        for p in (pool, other)
    )
    assert one == two


def test_a_rule_is_asked_once_per_shard_and_its_answer_kept(tmp_path):
    _put(tmp_path, 0)
    pool, asked = _pool(tmp_path), []

    def rule(shard):
        asked.append(float(shard["values"][0]))
        return np.array([1, 2]) if asked[-1] != 1 else np.array([], int)

    for number in range(1, 4):
        pool.poll()
        for step in range(3):
            drawn = pool.draw(np.random.default_rng(step), 8, rule)
            assert {int(row) for _, rows in drawn for row in rows} <= {1, 2}
            assert all(float(shard["values"][0]) != 1 for shard, _ in drawn)
        assert asked == list(range(number))
        _put(tmp_path, number)
    pool.restore(["train-00002"])
    assert [float(s["values"][0]) for s, _ in pool.draw(np.random.default_rng(0), 1, rule)] == [2.0]
    assert asked[-1] == 2


def test_a_full_pool_takes_no_more(tmp_path):
    for number in range(4):
        _put(tmp_path, number)
    pool = _pool(tmp_path, limit=3)
    pool.poll_all()
    assert len(pool.names) == 3
    assert len(pool) == 9


def _fail():
    raise SystemExit(3)


def test_a_failing_worker_is_noticed():
    with Feeder() as feeder:
        feeder.start(_fail)
        with pytest.raises(RuntimeError, match="code 3"):
            feeder.join()


def test_workers_share_the_work(tiny, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(
        "idvid.training.feeder.write_clips", lambda _folder, job, _data: made.append(job.name)
    )
    data = replace(tiny.data, num_shards=5)
    for worker in range(2):
        make_shards(FeederJob(folder=tmp_path, data=data, kinds=("clips",)), worker, 2)
    assert sorted(made) == sorted(job.name for job in clip_jobs(data))


def test_a_run_may_begin_at_a_later_shard(tiny):
    names = [job.name for job in clip_jobs(replace(tiny.data, first_shard=70, num_shards=2))]
    assert names[-2:] == ["train-00070", "train-00071"]
    assert names[:-2] == [job.name for job in clip_jobs(replace(tiny.data, num_shards=0))]


def test_encoders_share_the_work(tiny, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("idvid.training.cache.load_frozen", lambda *_: None)
    monkeypatch.setattr("idvid.training.cache.derivative_name", lambda _: "latents-0")
    monkeypatch.setattr("idvid.training.cache.Record", lambda path: path)
    monkeypatch.setattr(
        "idvid.training.cache.write_encoded", lambda shard, _path, _frozen: made.append(shard.stem)
    )
    data = replace(tiny.data, num_shards=5, encoders=2)
    for job in clip_jobs(data):
        record_path(tmp_path, job.name).touch()
    for worker in range(2):
        encode_shards(CacheJob(folder=tmp_path, models=tmp_path, data=data), worker)
    assert sorted(made) == sorted(job.name for job in clip_jobs(data))


def test_a_draw_reads_a_limited_number_of_shards(tmp_path):
    for number in range(40):
        _put(tmp_path, number)
    pool = _pool(tmp_path, limit=40)
    pool.poll_all()
    rng = np.random.default_rng(0)
    draws = [[float(shard["values"][0]) for shard, _ in pool.draw(rng, 500)] for _ in range(20)]
    assert {len(shards) for shards in draws} == {32}
    assert {shard for shards in draws for shard in shards} == set(range(40))


def test_draws_are_those_of_their_step():
    from idvid.training.pool import Draws

    one, same, next_ = Draws.of_step(1, 7), Draws.of_step(1, 7), Draws.of_step(1, 8)
    values = [torch.rand(3, generator=draws.torch) for draws in (one, same, next_)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])

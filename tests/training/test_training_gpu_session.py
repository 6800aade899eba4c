"""The script for a lent GPU: whose people it renders, its wall limits, what it brings back."""

import tarfile

import pytest

from idvid.training.feeder import clip_jobs
from idvid.training.presets import H200
from idvid.training.seeding import person_seeds
from tools import gpu_session


def test_its_people_are_new_and_exist():
    data = gpu_session.SETTINGS.data
    numbers = [job.number for job in clip_jobs(data) if job.split == "train"]
    assert numbers[0] == gpu_session.FIRST_SHARD
    last = max(numbers) * data.clips_per_shard + data.clips_per_shard - 1
    assert max(person_seeds("train", last, 4)) < 900_000


@pytest.mark.parametrize("stage", ["planner", "reenactor", "video", "distil", "decoder"])
def test_a_wall_limit_is_of_its_stage_alone(stage):
    limited = gpu_session._within(stage, 0.5)
    for name in ("planner", "reenactor", "video", "distil", "decoder", "backbone"):
        optimiser = getattr(limited, name).optimiser
        expected = 0.5 if name == stage else getattr(H200, name).optimiser.minutes
        assert optimiser.minutes == expected
    assert gpu_session._within(stage, None) is gpu_session.SETTINGS


def test_weights_logs_and_the_last_sheets_come_back_without_checkpoints(tmp_path):
    out, results = tmp_path / "run", tmp_path / "results"
    files = ["model/transformer/a.safetensors", "plans/model/planner/b.safetensors"]
    files += ["video/log.jsonl", "video/step-00000001/tensors.safetensors"]
    files += [f"video/sheets/{step:07d}.png" for step in range(5)]
    for name in files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    gpu_session.pack(out, results)
    names = set()
    for path in results.glob("*.tar"):
        with tarfile.open(path) as archive:
            names |= {member.name for member in archive.getmembers() if member.isfile()}
    assert {"transformer/a.safetensors", "planner/b.safetensors", "video/log.jsonl"} <= names
    assert {f"video/sheets/{step:07d}.png" for step in (2, 3, 4)} <= names
    assert len(names) == 6


def test_the_kernels_are_made_before_many_processes_want_them(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(gpu_session, "make_shards", lambda job: made.append(job.kinds))
    monkeypatch.setattr(
        gpu_session.Feeder, "start_rendering", lambda _, job: made.append(job.kinds)
    )
    gpu_session.render(tmp_path, ("series", "clips"))
    assert made == [("clips",), ("series",), ("clips",)]

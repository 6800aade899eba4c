"""Laws of schedules and of what the command makes of its arguments."""

import pytest
import torch

from idvid.errors import InputError, ModelError
from idvid.training import adapter_command, command
from idvid.training.adapter import AdapterSettings
from idvid.training.arguments import STAGES, add_arguments, settings_of
from idvid.training.backbone_stage import verification_auc
from idvid.training.loop import ema_decay, learning_rate
from idvid.training.presets import PRESETS
from idvid.training.settings import OptimiserSettings
from idvid.training.stage import start_part


def test_learning_rate_and_average_follow_their_schedules():
    settings = OptimiserSettings(num_steps=1000, batch_size=1, learning_rate=1.0, warmup_steps=10)
    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(settings, 500, 0.5) == 1.0
    assert learning_rate(settings, 850, 0.85) == pytest.approx(0.5)
    decays = [ema_decay(0.999, step) for step in range(0, 20_000, 100)]
    assert decays == sorted(decays)
    assert decays[-1] == 0.999


def test_verification_auc_is_one_for_perfect_vectors_and_half_for_equal_ones():
    people = torch.arange(6) // 2
    assert verification_auc(torch.eye(3)[people], people) == 1.0
    assert verification_auc(torch.ones(6, 3), people) == 0.5


def _arguments(*words):
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*words, "--out", "x"])


def test_the_command_changes_only_what_it_is_told():
    assert settings_of(_arguments("video")) == PRESETS["cpu"]
    limited = settings_of(_arguments("video", "--preset", "h200", "--minutes", "3"))
    assert limited.video.optimiser.minutes == 3
    assert limited.data == PRESETS["h200"].data
    arm = settings_of(_arguments("video", "--steps", "300", "--identity-weight", "0"))
    assert arm.video.optimiser.num_steps == 300
    assert arm.video.optimiser.warmup_steps == 30
    assert arm.video.optimiser.minutes is None
    assert arm.video.identity_weight == 0
    assert arm.video.temporal_weight == PRESETS["cpu"].video.temporal_weight


@pytest.mark.parametrize("stage", STAGES)
def test_steps_minutes_and_shards_reach_every_stage(stage):
    settings = settings_of(_arguments(stage, "--steps", "7", "--minutes", "2", "--shards", "3"))
    assert getattr(settings, stage).optimiser.num_steps == 7
    assert getattr(settings, stage).optimiser.minutes == 2
    counts = [value for name, value in vars_of(settings.data).items() if name.endswith("shards")]
    assert 3 in counts


def vars_of(data):
    return {name: getattr(data, name) for name in data.__slots__}


@pytest.mark.parametrize(
    "words", [("--minutes", "0"), ("--minutes", "nan"), ("--shards", "-1"), ("--steps", "0")]
)
def test_numbers_without_sense_are_refused(words):
    with pytest.raises(InputError, match="above 0"):
        settings_of(_arguments("video", *words))


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf"])
@pytest.mark.parametrize("name", ["--identity-weight", "--temporal-weight"])
def test_weights_without_sense_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; give 0 or more"):
        settings_of(_arguments("video", name, value))


@pytest.mark.parametrize("stage", ["data", "planner", "distil"])
def test_a_weight_of_a_loss_that_a_stage_does_not_have_is_refused(stage):
    with pytest.raises(InputError, match=f"'{stage}' has no identity-preservation loss"):
        settings_of(_arguments(stage, "--temporal-weight", "0"))


def test_the_adapter_takes_the_weights_of_its_loss():
    words = ("adapter", "--identity-weight", "0.3", "--temporal-weight", "0", "--steps", "7")
    settings = adapter_command.settings_of(_arguments(*words))
    assert (settings.identity_weight, settings.temporal_weight) == (0.3, 0)
    assert settings.num_steps == 7
    assert adapter_command.settings_of(_arguments("adapter")) == AdapterSettings()


def test_video_without_its_frozen_parts_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_SHIPPED", tmp_path / "nothing")
    call = command.TrainingRun(settings=tiny, folder=tmp_path, device="cpu", resume=False)
    with pytest.raises(ModelError, match="train the stage 'autoencoder' first"):
        command._take_shipped(call)


def test_a_gpu_preset_encodes_where_the_run_trains():
    cpu, gpu = PRESETS["cpu"].data, PRESETS["h200"].data
    assert [data.on("cuda").encode_device for data in (cpu, gpu)] == ["cpu", "cuda"]
    assert [data.on("cpu").encode_device for data in (cpu, gpu)] == ["cpu", "cpu"]


def test_the_h200_preset_ends_within_25_minutes():
    stages = PRESETS["h200"]
    parts = (stages.autoencoder, stages.backbone, stages.video, stages.distil, stages.planner)
    # Two minutes and more go by until the first shards are there.
    assert sum(part.optimiser.minutes for part in parts) <= 22


@pytest.mark.parametrize("preset", PRESETS)
def test_the_autoencoder_of_a_preset_starts_from_the_shipped_one(preset):
    """A fresh one would leave the video weights in a latent space that they never saw."""
    settings = PRESETS[preset].autoencoder
    config = {"latent_channels": settings.latent_channels, "widths": settings.widths}
    _, is_fresh = start_part("autoencoder", config, (command._SHIPPED,))
    assert not is_fresh

"""What a ZeroGPU Space is asked for follows from the model, the length and the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import wan_tiny

from benchmarks.wan_flops import MODELS, count
from idvid.config import GenerationSettings
from idvid.errors import InputError, ModelError
from idvid.pipeline.load import LoadedModel, loaded_model
from idvid.pipeline.make import Job, gpu_seconds, require_time
from idvid.pipeline.pace import num_tokens, num_windows, operations, pace_of
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime.zerogpu import MAX_RESERVED_S, MIN_RESERVED_S
from idvid.types import Scene, WindowDone

SCENE = Scene(prompt="a garden", characters=(), seconds=1.0)
STEPS = GenerationSettings(method="none", num_steps=2)


@pytest.fixture(scope="module")
def tiny():
    """A tiny model that makes videos of a tiny size."""
    pipeline = IdVidVacePipeline(**wan_tiny.parts("vace"))
    pipeline.options = VaceOptions(**wan_tiny.VACE_SIZE)
    return pipeline


def test_operations_are_those_of_the_full_size_model_and_a_little_more():
    build, sizes = MODELS["VACE-1.3B"]
    with torch.device("meta"):
        model = build(attention_head_dim=128, in_channels=16, out_channels=16, **sizes)
    tokens = num_tokens(VaceOptions(), num_references=0)
    assert 1.0 <= operations(model, tokens) / count("VACE-1.3B").base <= 1.1


def test_windows_are_counted_as_they_are_made(tiny):
    made = [event for event in tiny.stream(SCENE, (), STEPS) if isinstance(event, WindowDone)]
    assert num_windows(tiny, SCENE) == len(made) == 3


def test_larger_windows_take_longer(tiny):
    small = pace_of(tiny)
    tiny.options = VaceOptions()
    large = pace_of(tiny)
    tiny.options = VaceOptions(**wan_tiny.VACE_SIZE)
    assert large.step_s > 1000 * small.step_s
    assert large.window_s > 1000 * small.window_s
    assert large.start_s == small.start_s


def job_of(model, seconds, steps, methods=1):
    settings = (replace(STEPS, num_steps=steps),) * methods
    scene = replace(SCENE, seconds=seconds)
    return Job(model=model.number, scene=scene, references=(), settings=settings)


def test_a_reservation_follows_steps_length_and_methods_up_to_the_limit(tiny):
    model = LoadedModel(None, tiny, None)

    def asked(*wish, **more):
        return gpu_seconds(job_of(model, *wish, **more))

    assert asked(1, 2) == MIN_RESERVED_S
    assert asked(1, 2, methods=2) == 2 * MIN_RESERVED_S
    tiny.options = VaceOptions(width_px=1920, height_px=1088)
    short, longer, more = asked(2, 2), asked(12, 2), asked(2, 100)
    tiny.options = VaceOptions(**wan_tiny.VACE_SIZE)
    assert MIN_RESERVED_S < short < longer <= MAX_RESERVED_S
    assert short < more
    assert asked(30, 100, methods=40) == MAX_RESERVED_S


def test_what_would_be_broken_off_is_refused_beforehand(tiny):
    model = LoadedModel(None, tiny, None)
    require_time(job_of(model, 30, 100))
    tiny.options = VaceOptions()
    expected = pace_of(tiny).window_s * 8  # windows of 30 s; steps of a tiny model take no time
    with pytest.raises(
        InputError, match=r"takes about \d+ s of GPU .* lends one for 300 s at most"
    ):
        require_time(job_of(model, 30, 2, methods=round(400 / expected) + 1))
    tiny.options = VaceOptions(**wan_tiny.VACE_SIZE)


def test_a_model_that_left_the_memory_is_refused(tiny):
    number = LoadedModel(None, tiny, None).number
    with pytest.raises(ModelError, match="no longer in memory"):
        loaded_model(number)

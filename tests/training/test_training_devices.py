"""Nothing in a step of training makes a tensor on the CPU that belongs beside the model.

There is no GPU here, but torch's "meta" device refuses, as a GPU does, to mix with the CPU.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from idvid.conditioning.text import encode_prompt
from idvid.models.checkpoint import PART_CLASSES
from idvid.models.face_plan import NUM_EXPRESSION
from idvid.models.face_planner import to_landmarks, to_state
from idvid.pipeline.predict import Steering
from idvid.training.flow import PARTS, conditions_of
from idvid.training.flow import predictor as flow_predictor
from idvid.training.objective import (
    add_noise,
    face_weight,
    margin_softmax,
    picture_loss,
    rename_slots,
    velocity_loss,
)
from idvid.training.teacher import Teacher, student_predictor
from idvid.training.video_batch import VideoBatch

META = torch.device("meta")
ROWS, FRAMES, PEOPLE, CHANNELS, WIDTH = 2, 3, 2, 12, 64


def empty(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device=META)


def part(name, **config):
    with META:
        return PART_CLASSES[name].from_config(config)


@pytest.fixture(scope="module")
def parts():
    sizes = {"width": WIDTH}
    configs = {
        "transformer": sizes | {"depth": 1},
        "identity_encoder": sizes | {"patch_features": 4 * CHANNELS},
        "identity_bank": sizes,
        "prompt_encoder": sizes | {"vocabulary_size": 40, "depth": 1},
    }
    return nn.ModuleDict({name: part(name, **configs[name]) for name in PARTS})


@pytest.fixture(scope="module")
def batch():
    people = (ROWS, PEOPLE)
    return VideoBatch(
        latents=empty(ROWS, FRAMES, CHANNELS, 8, 8),
        anchors=empty(ROWS, FRAMES, CHANNELS + 1, 8, 8),
        time_s=empty(ROWS, FRAMES),
        ids=empty(ROWS, 12, dtype=torch.long),
        landmarks=empty(*people, FRAMES, 5, 2),
        expression=empty(*people, FRAMES, NUM_EXPRESSION),
        is_visible=empty(*people, FRAMES, dtype=torch.bool),
        slots=empty(*people, dtype=torch.long),
        names=empty(*people, dtype=torch.long),
        vectors=empty(*people, 2, 512),
        patches=empty(*people, 2, 25, 4 * CHANNELS),
        has_reference=empty(*people, 2, dtype=torch.bool),
        is_given=empty(ROWS, dtype=torch.bool),
    )


@pytest.mark.parametrize("name", ["landmarks", "expression", "time_s", "anchors", "patches"])
def test_the_meta_device_refuses_the_cpu_as_a_gpu_does(parts, batch, name):
    there = torch.zeros_like(getattr(batch, name), device="cpu")
    with pytest.raises(RuntimeError, match="device"):
        flow_predictor(parts, replace(batch, **{name: there}))(batch.latents, empty(ROWS, FRAMES))


def test_a_step_of_the_video_model_stays_on_one_device(parts, batch):
    level, noise = empty(ROWS, FRAMES), torch.empty_like(batch.latents)
    clean = flow_predictor(parts, batch)(add_noise(batch.latents, noise, level), level)
    weight = face_weight(batch.landmarks, batch.is_visible, (8, 8), 2.0)
    loss = velocity_loss(clean, batch.latents, level, weight)
    loss.backward()
    assert loss.device == META
    assert all(p.grad is not None for n, p in parts.named_parameters() if "projection" in n)


def test_teacher_and_student_stay_on_one_device(parts, batch):
    level = empty(ROWS, FRAMES)
    teacher = Teacher(parts=parts, steering=Steering(scale=1.0, hold_until=1.0))
    conditions = teacher.conditions(batch, 0.8)
    for predict in (
        teacher.predict(conditions, batch),
        student_predictor(parts, conditions, batch, 0.0),
    ):
        assert predict(batch.latents, level).device == META


def test_a_step_of_the_planner_stays_on_one_device(batch):
    planner = part("planner", width=WIDTH, text_width=WIDTH, depth=1)
    encoder = part("planner_prompt_encoder", vocabulary_size=40, width=WIDTH)
    ids = rename_slots(batch.ids, batch.slots, empty(8, dtype=torch.long))
    present, states = batch.slots >= 0, to_state(batch.landmarks, batch.expression)
    prompt = encode_prompt(encoder, ids, batch.names)
    made = planner(states, empty(ROWS, FRAMES), batch.time_s, batch.slots, present, prompt)
    assert to_landmarks(made).device == META


def test_steps_of_autoencoder_and_backbone_stay_on_one_device():
    autoencoder = part("autoencoder", latent_channels=CHANNELS, widths=(8, 8, 16))
    frames = empty(ROWS, 3, 48, 48)
    made = autoencoder.decode(autoencoder.encode(frames))
    assert picture_loss(made, frames, empty(ROWS, 1, 48, 48)).device == META
    backbone = part("backbone", widths=(8, 8, 8, 8))
    vectors = backbone(empty(4, 3, 112, 112))
    labels = empty(4, dtype=torch.long)
    assert margin_softmax(vectors, empty(9, 512), labels, 0.3, 32.0).device == META


def test_conditions_are_all_on_the_models_device(parts, batch):
    conditions = conditions_of(parts, batch)
    identity, prompt = conditions.identity, conditions.prompt
    tensors = [identity.memory, identity.owner, prompt.tokens, prompt.is_token, prompt.mentions]
    assert {tensor.device for tensor in tensors} == {META}

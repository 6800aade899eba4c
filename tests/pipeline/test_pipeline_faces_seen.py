"""Faces looked for near the places of a plan: on rendered people, with plans that are wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_up_faces
import numpy as np
import pytest
import torch

import idvid
from idvid.config import GenerationSettings
from idvid.faces.quality import ReferenceFace
from idvid.faces.types import Face
from idvid.methods import METHODS
from idvid.models.checkpoint import load_part
from idvid.models.face_plan import NUM_EXPRESSION, face_frame
from idvid.models.face_planner import to_state
from idvid.people import build_person, render_clip, sample_person, sample_scene
from idvid.pipeline.backend import HEIGHT_PX
from idvid.pipeline.condition import landmarks_px, window_conditions
from idvid.pipeline.faces_seen import at_planned_places, seen_landmarks
from idvid.pipeline.frames import look_again
from idvid.pipeline.prepare import Request, prepare_scene
from idvid.types import Character, Scene

SHIFT = torch.tensor([9.0, -5.0])  # px


@pytest.fixture(scope="module")
def clip():
    """Three frames of two people."""
    people = [build_person(sample_person(seed)) for seed in (900_001, 900_002)]
    return render_clip(sample_scene(905_003, 2, 3), people)


@pytest.fixture(scope="module")
def truth(clip):
    return torch.from_numpy(clip.landmarks.copy())


def distance(one, two):
    """Mean distance of the faces' places in px, per character and frame."""
    return (one.mean(2) - two.mean(2)).norm(dim=-1)


def test_a_wrong_plan_moves_to_where_the_faces_are(clip, truth):
    seen = seen_landmarks(clip.frames, truth + SHIFT)
    assert distance(truth + SHIFT, truth).min() > 10
    assert distance(seen, truth).max() < 3


def test_a_character_far_from_every_face_stays_where_the_plan_says(clip, truth):
    width = float(face_frame(truth)[1].norm(dim=-1).max())
    planned = truth.clone()
    planned[0] -= torch.tensor([1.2 * width, 0.0])
    seen = seen_landmarks(clip.frames, planned)
    assert torch.equal(seen[0], planned[0])
    assert distance(seen, truth)[1].max() < 3


def test_without_faces_the_plan_stays_to_the_bit(clip, truth):
    assert torch.equal(seen_landmarks(np.zeros_like(clip.frames), truth), truth)


def test_a_face_that_is_lost_for_a_frame_is_followed(clip, truth):
    frames = clip.frames.copy()
    frames[1] = 0
    seen = seen_landmarks(frames, truth + SHIFT)
    assert distance(seen, truth).max() < 4


def test_two_faces_are_shared_so_that_both_characters_have_one():
    own = torch.from_numpy(made_up_faces.POINTS)
    planned = torch.stack([own, own + torch.tensor([60.0, 0.0])])
    width = float(face_frame(planned)[1].norm(dim=-1).mean())
    left, right = (planned + torch.tensor([0.6 * width, 0.0])).numpy()
    assert at_planned_places([right, left], planned) == {0: 1, 1: 0}
    assert at_planned_places([left], planned) == {1: 0}  # the nearer character has it
    assert at_planned_places([right + width], planned) == {}
    assert at_planned_places([], planned) == {}


def test_regions_and_anchors_move_with_the_faces(tiny_model, clip, truth):
    """The real autoencoder draws the frames; the plan is wrong; the conditions come out right."""
    weights = Path(idvid.__file__).parent / "weights" / "mini" / "autoencoder"
    autoencoder = load_part("autoencoder", weights)
    patch = 4 * autoencoder.config["latent_channels"]
    model = replace(tiny_model, autoencoder=autoencoder)
    request = request_of(model, clip, truth, patch)
    with torch.inference_mode():
        pictures = torch.from_numpy(clip.frames.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = autoencoder.encode(pictures)[None]
        times = torch.arange(4)[None] / 12
        planned = torch.cat([truth[:, :1], truth], dim=1) + SHIFT
        before = window_conditions(model, request, times, states_at(planned))
        right = window_conditions(model, request, times, states_at(planned - SHIFT))
        after = look_again(model, request, before, latents)
    seen = landmarks_px(after)
    assert torch.equal(seen[:, 0], landmarks_px(before)[:, 0])  # a finished frame is left alone
    assert distance(seen[:, 1:], truth).max() < 4
    wrong, moved = (
        (each.identity.anchors[:, 1:, -1] - right.identity.anchors[:, 1:, -1]).abs().mean()
        for each in (before, after)
    )
    assert moved < wrong / 2
    assert torch.equal(after.identity.anchors[:, 0], before.identity.anchors[:, 0])


def states_at(points):
    """A plan with the faces at these points, (characters, T, 5, 2) px."""
    return to_state((points + 0.5) / HEIGHT_PX, torch.zeros(*points.shape[:2], NUM_EXPRESSION))


def request_of(model, clip, truth, patch):
    """A clip in the making whose photos are the first frame, one face each."""
    from idvid.models.identity_encoder import IdentityEncoder

    encoder = IdentityEncoder.from_config(
        {**model.identity_encoder.config, "patch_features": patch}
    )
    photos = [
        (ReferenceFace(photo_index=0, image=clip.frames[0], face=face, embedding=np.zeros(128)),)
        for face in (
            Face(box=np.zeros(4, np.float32), landmarks=own[0].numpy(), score=1.0) for own in truth
        )
    ]
    characters = tuple(Character(name=name, photos=(clip.frames[0],)) for name in ("Ana", "Ben"))
    scene = Scene(prompt="@Ana and @Ben", characters=characters, seconds=1.0, seed=0)
    generator = torch.Generator()
    return Request(
        prepared=prepare_scene(replace(model, identity_encoder=encoder), scene, photos),
        settings=GenerationSettings(method="face_aware"),
        method=METHODS["face_aware"],
        generator=generator,
        redraws=generator,
        noise=torch.zeros(1),
    )

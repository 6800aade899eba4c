"""Laws of the bundled model's other parts: geometry, planner states, autoencoder, checkpoints."""

from __future__ import annotations

import math

import pytest
import torch

from idvid.conditioning.text import encode_prompt, mention_weights
from idvid.config import EXPRESSION
from idvid.errors import ModelError
from idvid.models.autoencoder import FrameAutoencoder
from idvid.models.checkpoint import load_bundled, load_part, save_bundled
from idvid.models.face_backbone import FaceBackbone
from idvid.models.face_plan import (
    face_frame,
    plan_features,
    pose_residual,
    template,
    to_face,
    token_centres,
)
from idvid.models.face_planner import (
    STATE,
    smoothed,
    to_expression,
    to_landmarks,
    to_state,
    turn,
    turned_at_most,
    window_noise,
)
from idvid.models.prompt_encoder import PromptEncoder


def turned_face(angle=0.3, size=0.4, place=(0.8, 0.5)):
    mean = template(torch.zeros(1))
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    return size * mean @ rotation.T + torch.tensor(place)


def test_face_frame_finds_place_size_and_roll():
    origin, axis = face_frame(turned_face())
    torch.testing.assert_close(origin, torch.tensor([0.8, 0.5]))
    expected = 0.4 * torch.tensor([math.cos(0.3), math.sin(0.3)])
    torch.testing.assert_close(axis, expected)


def test_face_coordinates_of_the_landmarks_are_the_mean_face():
    points = turned_face()
    torch.testing.assert_close(
        to_face(points, *face_frame(points)), template(points), atol=1e-5, rtol=1e-4
    )


def test_plan_features_vanish_and_close_the_region_where_nobody_is_visible():
    landmarks = turned_face()[None, None, None].expand(1, 2, 1, -1, -1)
    visible = torch.tensor([[[True], [False]]])
    features, log_region = plan_features(landmarks, visible, token_centres(4, 7))
    assert features[0, 1].abs().sum() == 0
    assert torch.isneginf(log_region[0, 1]).all()
    assert log_region[0, 0].max() <= 0
    best = token_centres(4, 7)[log_region[0, 0, 0].argmax()]
    assert (best - torch.tensor([0.8, 0.5])).norm() < 0.2


def test_planner_state_round_trips_landmarks_and_expression():
    torch.manual_seed(0)
    landmarks, acted = turned_face() + 0.02 * torch.randn(3, 4, 5, 2), torch.rand(3, 4, 9)
    state = to_state(landmarks, acted)
    torch.testing.assert_close(to_landmarks(state), landmarks, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(to_expression(state), acted, atol=1e-5, rtol=1e-4)


def test_a_face_turned_back_keeps_its_expression():
    torch.manual_seed(0)
    state = 9 * torch.randn(3, 4, STATE)
    back = turned_at_most(state, (0.01, 0.02))
    limits = torch.tensor([0.01, 0.02])
    assert (turn(back).abs() <= limits + 1e-6).all()
    assert (turn(state).abs().amax((0, 1)) > 2 * limits).all()
    assert torch.equal(to_expression(back), to_expression(state))


def test_how_far_a_face_is_turned_is_read_off_its_nose():
    landmarks = template(torch.zeros(1)).repeat(2, 1, 1, 1) * 0.3 + 0.5
    landmarks[1, 0, 4] += torch.tensor([0.03, -0.02])  # a tenth of the face to the right, and up
    state = to_state(landmarks, torch.zeros(2, 1, 9))
    assert turn(state[0]).abs().max() < 1e-6
    torch.testing.assert_close(turn(state[1, 0]), pose_residual(landmarks)[1, 0, 4])
    assert turn(state[1, 0])[0] > 0.05
    assert turn(state[1, 0])[1] < -0.02


def test_places_are_smoothed_and_blinks_are_not():
    torch.manual_seed(0)
    state = torch.randn(2, 5, STATE)
    smooth = smoothed(state, (0.25, 0.5, 0.25))
    expected = 0.25 * state[:, 0, :4] + 0.5 * state[:, 1, :4] + 0.25 * state[:, 2, :4]
    torch.testing.assert_close(smooth[:, 1, :4], expected)
    assert torch.equal(smooth[:, [0, -1]], state[:, [0, -1]])
    assert torch.equal(to_expression(smooth), to_expression(state))


def test_window_noise_is_standard_and_mostly_shared_over_time():
    noise = window_noise((200, 2, 6, STATE), torch.Generator().manual_seed(0))
    assert abs(float(noise.std()) - 1) < 0.02
    step = (noise[:, :, 1:] - noise[:, :, :-1]).square().mean((0, 1, 2))
    assert (step[:14] - 0.1).abs().max() < 0.02  # 2 * (1 - 0.95)
    lids = 14 + EXPRESSION.index("lids_close")
    assert abs(float(step[lids]) - 1) < 0.1  # 2 * (1 - 0.5): a blink is short
    assert abs(float((noise[:, 0] * noise[:, 1]).mean())) < 0.05  # characters share nothing


def test_planner_ignores_characters_that_are_not_there(tiny_model):
    torch.manual_seed(0)
    state, level, time = torch.randn(1, 2, 3, STATE), torch.rand(1, 3), torch.arange(3)[None] / 12
    present, slots = torch.tensor([[True, False]]), torch.tensor([[0, 1]])
    ids, encoder = torch.tensor([[3, 4]]), tiny_model.planner_prompt_encoder
    prompt = encode_prompt(encoder, ids, names=torch.tensor([[3, 9]]))
    other = state.clone()
    other[:, 1] = 9.0
    with torch.no_grad():
        one = tiny_model.planner(state, level, time, slots, present, prompt)
        two = tiny_model.planner(other, level, time, slots, present, prompt)
    torch.testing.assert_close(one[:, 0], two[:, 0])


def test_principal_components_reconstruct_pictures_of_their_rank_exactly():
    torch.manual_seed(0)
    colours = torch.rand(6, 3, 4, 4) * 2 - 1
    flat = torch.nn.functional.interpolate(colours, scale_factor=8.0)  # 3 numbers per 8x8 patch
    sizes = {"decoder_blocks": (0, 0, 0), "encoder_blocks": (0, 0, 0)}
    autoencoder = FrameAutoencoder(latent_channels=4, widths=(8, 8, 16), **sizes)
    autoencoder.fit_linear(flat)
    with torch.no_grad():
        again = autoencoder.decode_raw(autoencoder.encode_raw(flat))
    torch.testing.assert_close(again, flat, atol=2e-3, rtol=0)


def test_autoencoder_is_local_and_normalises(tiny_model):
    frames = torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        latents = tiny_model.autoencoder.encode(frames)
        assert latents.shape == (1, 4, 4, 6)
        assert tiny_model.autoencoder.decode(latents).shape == frames.shape
        tiny_model.autoencoder.latent_mean.fill_(1.0)
        shifted = tiny_model.autoencoder.encode(frames)
        tiny_model.autoencoder.latent_mean.fill_(0.0)
    torch.testing.assert_close(shifted, latents - 1)


def test_backbone_gives_unit_vectors_with_gradients():
    backbone = FaceBackbone(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1)).eval()
    faces = torch.randn(2, 3, 112, 112, requires_grad=True)
    vectors = backbone(faces)
    assert vectors.shape == (2, 512)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))
    vectors[:, 0].sum().backward()
    assert faces.grad.abs().sum() > 0


def test_prompt_encoder_ignores_padding_and_accepts_the_empty_prompt():
    encoder = PromptEncoder(vocabulary_size=16, width=64, depth=1).eval()
    with torch.no_grad():
        short, mask = encoder(torch.tensor([[5, 6]]))
        padded, padded_mask = encoder(torch.tensor([[5, 6, 0, 0]]))
        empty, empty_mask = encoder(torch.tensor([[0, 0]]))
    torch.testing.assert_close(padded[:, :2], short)
    assert padded_mask.tolist() == [[True, True, False, False]]
    assert mask.all()
    assert empty_mask.tolist() == [[True, False]]
    assert torch.isfinite(empty).all()


def test_checkpoint_round_trips_by_name_in_half_precision(tiny_model, tiny_folder):
    again = load_bundled(tiny_folder)
    for name, part in tiny_model.parts().items():
        copy = getattr(again, name).state_dict()
        assert copy.keys() == part.state_dict().keys()
        for key, value in part.state_dict().items():
            torch.testing.assert_close(copy[key].float(), value.half().float())
    assert again.tokenizer.get_vocab() == tiny_model.tokenizer.get_vocab()


def test_weights_are_sharded_below_the_limit(tmp_path, tiny_model):
    from dataclasses import replace

    from idvid.models.video_transformer import VideoTransformer

    large = VideoTransformer(latent_channels=4, width=256, depth=6)
    save_bundled(replace(tiny_model, transformer=large), tmp_path)
    files = list(tmp_path.rglob("*.safetensors"))
    assert max(file.stat().st_size for file in files) < 9_500_000
    assert len(list((tmp_path / "transformer").glob("*.safetensors"))) > 1
    loaded = load_part("transformer", tmp_path / "transformer")
    key = "blocks.5.text.to_out.weight"
    torch.testing.assert_close(loaded.state_dict()[key], large.state_dict()[key].half().float())


def test_a_missing_part_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="The model's part 'transformer' is missing or damaged"):
        load_part("transformer", tmp_path / "nothing")


def test_a_mention_is_the_mean_of_the_tokens_that_name_a_character():
    weights = mention_weights(torch.tensor([[2, 7, 3, 2]]), torch.tensor([[2, 3, 4]]))
    expected = torch.tensor([[[0.5, 0, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 0]]])
    assert torch.equal(weights, expected)

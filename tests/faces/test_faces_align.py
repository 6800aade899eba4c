import math

import numpy as np
import pytest
import torch

from idvid.faces.align import (
    _DLIB_POINTS,
    arcface_chips,
    arcface_template,
    face_chips,
    head_crops,
    similarity,
)
from idvid.faces.detect import detect_faces
from idvid.faces.embed import load_judge


def _moved(points, scale, angle, shift):
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * points @ turn.T + torch.tensor(shift)


@pytest.mark.parametrize(("scale", "angle"), [(40.0, 0.0), (90.0, 0.4), (300.0, -2.5)])
def test_similarity_recovers_a_known_one(scale, angle):
    landmarks = _moved(_DLIB_POINTS, scale, angle, [70.0, 50.0])[None]
    mapping = similarity(_DLIB_POINTS, landmarks)[0]
    mapped = _DLIB_POINTS @ mapping[:, :2].T + mapping[:, 2]
    assert torch.allclose(mapped, landmarks[0], atol=1e-3)
    assert mapping[:, 0].norm().item() == pytest.approx(scale, rel=1e-4)


def test_identity_mapping_returns_the_picture_itself():
    image = torch.rand(1, 3, 150, 150, generator=torch.Generator().manual_seed(0))
    landmarks = ((_DLIB_POINTS + 0.25) / 1.5 * 150)[None]
    assert torch.allclose(face_chips(image, landmarks), image, atol=1e-4)


def test_arcface_eyes_lie_where_arcface_expects_them():
    template = arcface_template()
    right, left = template[:2].mean(0), template[2:4].mean(0)
    assert torch.allclose(left, torch.tensor([38.2946, 51.6]), atol=0.3)
    assert torch.allclose(right, torch.tensor([73.5318, 51.6]), atol=0.3)


@pytest.mark.parametrize(
    ("crop", "size"), [(face_chips, 150), (arcface_chips, 112), (head_crops, 80)]
)
def test_a_crop_does_not_depend_on_its_batch(crop, size):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 3, 300, 300, generator=generator)
    landmarks = torch.stack([_DLIB_POINTS * s + 60 for s in (40.0, 110.0, 180.0)])
    together = crop(images, landmarks)
    alone = torch.cat([crop(images[i : i + 1], landmarks[i : i + 1]) for i in range(3)])
    assert together.shape == (3, 3, size, size)
    # On some CPUs the points' matrix product rounds by the batch: values were 1e-5 apart.
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_minifying_averages_instead_of_aliasing():
    stripes = torch.zeros(1, 3, 1200, 1200)
    stripes[..., ::2] = 1.0  # one pixel white, one black: aliasing would leave a contrast of 0.5
    chip = face_chips(stripes, (_DLIB_POINTS * 700 + 250)[None])
    assert chip[..., 20:-20, 20:-20].std() < 0.1
    assert chip[..., 20:-20, 20:-20].mean().item() == pytest.approx(0.5, abs=0.02)


def test_turning_and_enlarging_the_picture_leaves_the_crop(photos):
    image = photos[900000][0]
    landmarks = torch.from_numpy(detect_faces(image)[0].landmarks)
    tensor = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
    turned = torch.rot90(tensor, 1, (2, 3))  # (x, y) -> (y, W - 1 - x)
    moved = torch.stack([landmarks[:, 1], image.shape[1] - 1 - landmarks[:, 0]], -1)
    straight = head_crops(tensor, landmarks[None])
    assert torch.allclose(head_crops(turned, moved[None]), straight, atol=2e-3)


def test_head_crop_is_looser_than_the_face_chip(photos):
    image = photos[900001][0]
    face = detect_faces(image)[0]
    landmarks = torch.from_numpy(face.landmarks)[None]
    marked = torch.zeros(1, 3, *image.shape[:2])
    x0, y0, x1, y1 = (int(edge) for edge in face.box)
    marked[..., y0:y1, x0:x1] = 1.0
    covered = head_crops(marked, landmarks).mean().item()
    assert 0.15 < covered < 0.5  # the detector's box fills about a quarter of a head crop
    assert face_chips(marked, landmarks).mean().item() > 0.7


def test_gradient_reaches_the_picture_through_aligner_and_net(photos):
    image = photos[900000][0]
    landmarks = torch.from_numpy(detect_faces(image)[0].landmarks)[None]
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float().div(255).requires_grad_()
    load_judge().embed_chips(face_chips(pixels, landmarks))[0, 0].backward()
    assert pixels.grad is not None
    x, y = np.round(landmarks[0].mean(0).numpy()).astype(int)
    assert pixels.grad[..., y - 10 : y + 10, x - 10 : x + 10].abs().min(dim=1).values.max() > 0
    assert torch.isfinite(pixels.grad).all()
    assert pixels.grad[..., :2, :2].abs().max() == 0  # nothing outside the chip counts

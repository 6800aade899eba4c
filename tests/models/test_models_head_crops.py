"""Laws of crops in face coordinates."""

from __future__ import annotations

import pytest
import torch

from idvid.models.face_plan import face_frame, in_picture, to_face
from idvid.models.head_crops import (
    SIDE,
    crop_grid,
    crop_landmarks,
    on_crop,
    upright_heads,
)

POINTS = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])


def test_picture_points_and_face_coordinates_are_inverse():
    turned = POINTS @ torch.tensor([[0.8, 0.3], [-0.3, 0.8]]) + 5
    frame = face_frame(torch.stack([POINTS, turned]))
    places = torch.rand(2, 7, 2, generator=torch.Generator().manual_seed(0)) * 80
    torch.testing.assert_close(in_picture(to_face(places, *frame), *frame), places)


def test_a_crop_does_not_depend_on_where_and_how_large_the_face_is():
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    small = torch.nn.functional.interpolate(coarse, size=96, mode="bicubic")
    large = torch.nn.functional.interpolate(small, size=192, mode="bilinear", align_corners=False)
    pair = [
        upright_heads(small, POINTS[None] + 8, 64),
        upright_heads(large, 2 * (POINTS[None] + 8.25), 64),
    ]
    torch.testing.assert_close(*pair, atol=0.03, rtol=0)


def test_a_crop_shows_the_mean_face_upright_and_in_its_size():
    marks = crop_landmarks(64, torch.zeros(1))
    origin, axis = face_frame(marks)
    assert axis.tolist() == pytest.approx([64 / SIDE, 0], abs=1e-4)
    assert float(origin[0]) == pytest.approx(31.5, abs=1e-4)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    laid = upright_heads(image, marks[None], 64)
    torch.testing.assert_close(laid, image, atol=1e-4, rtol=0)


def test_a_crop_is_read_where_its_grid_says():
    grid = crop_grid(32, torch.zeros(1))
    read = on_crop(grid).view(32, 32, 2)
    middles = (torch.arange(32) + 0.5) / 16 - 1
    torch.testing.assert_close(read[0, :, 0], middles)
    torch.testing.assert_close(read[:, 0, 1], middles)

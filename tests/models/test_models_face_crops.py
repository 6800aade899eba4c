"""Laws of crops in face coordinates."""

from __future__ import annotations

import pytest
import torch

from idvid.models.face_crops import (
    FACE,
    HEAD,
    crop_grid,
    crop_landmarks,
    face_crops,
    on_crop,
)
from idvid.models.face_plan import face_frame, in_picture, to_face

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
        face_crops(small, POINTS[None] + 8, 64),
        face_crops(large, 2 * (POINTS[None] + 8.25), 64),
    ]
    torch.testing.assert_close(*pair, atol=0.03, rtol=0)


def test_a_crop_shows_the_mean_face_upright_and_in_its_size():
    marks = crop_landmarks(64, torch.zeros(1))
    origin, axis = face_frame(marks)
    assert axis.tolist() == pytest.approx([64 / FACE.side, 0], abs=1e-4)
    assert float(origin[0]) == pytest.approx(31.5, abs=1e-4)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    laid = face_crops(image, marks[None], 64)
    torch.testing.assert_close(laid, image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("extent", [FACE, HEAD])
def test_a_crop_is_read_where_its_grid_says(extent):
    grid = crop_grid(32, torch.zeros(1), extent)
    read = on_crop(grid, extent).view(32, 32, 2)
    middles = (torch.arange(32) + 0.5) / 16 - 1
    torch.testing.assert_close(read[0, :, 0], middles)
    torch.testing.assert_close(read[:, 0, 1], middles)


def test_a_crop_of_the_head_holds_that_of_the_face():
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(image, size=96, mode="bicubic")
    head, face = face_crops(image, POINTS[None], 96, HEAD), face_crops(image, POINTS[None], 48)
    again = torch.nn.functional.grid_sample(
        head, on_crop(crop_grid(48, image), HEAD).view(1, 48, 48, 2), align_corners=False
    )
    torch.testing.assert_close(again, face, atol=0.05, rtol=0)

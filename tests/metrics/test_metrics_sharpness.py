"""The strength of edges on pictures whose edges are known."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from idvid.metrics.sharpness import edge_strength


def test_stripes_have_the_edges_that_they_are_made_of():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[:, :, ::2] = 200  # every neighbour across differs, none down
    assert edge_strength(frames) == pytest.approx(200)
    assert edge_strength(frames.transpose(0, 2, 1, 3)) == pytest.approx(200)


def test_blur_weakens_edges_and_a_plain_picture_has_none():
    sharp = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(1)))
    assert edge_strength(blurred[None]) < 0.5 * edge_strength(sharp[None])
    assert edge_strength(np.full((1, 4, 4, 3), 77, np.uint8)) == 0

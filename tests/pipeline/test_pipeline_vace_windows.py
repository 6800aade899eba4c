"""Windows of VACE: what is planned, kept and masked, and that colours stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import wan_tiny
from diffusers import WanVACEPipeline

from idvid.config import GenerationSettings
from idvid.pipeline.vace_conditions import aligned_mask, hint_scale, latent_frames
from idvid.pipeline.vace_load import VaceModel, load_vace
from idvid.pipeline.vace_options import VaceOptions
from idvid.pipeline.vace_windows import (
    VaceHistory,
    distant_frames,
    go_on,
    match_colour,
    plan_windows,
    remember,
)


@pytest.mark.parametrize("before", [0, 3, 40])
@pytest.mark.parametrize(("size", "kept"), [(81, 33), (81, 17), (49, 17), (9, 5)])
def test_windows_cover_every_length_once_and_never_exceed_their_size(size, kept, before):
    for total in (1, 2, 9, 64, 80, 81, 82, 240, 480):
        windows = plan_windows(total, size, kept, before)
        spans = [range(w.first_frame, w.first_frame + w.num_new) for w in windows]
        assert [frame for span in spans for frame in span] == list(range(total))
        assert {(w.num_windows, w.total_frames) for w in windows} == {(len(windows), total)}
        for window in windows:
            assert window.num_kept + window.num_new <= window.num_frames <= size
            assert window.num_frames % 4 == 1
            assert window.num_kept % 4 == 1 or window.num_kept == 0
            assert window.num_kept <= window.first_frame + before
        assert all(w.num_kept == kept for w in windows[1:])


@pytest.fixture(scope="module")
def stock(vace_folder):
    return WanVACEPipeline.from_pretrained(vace_folder)


def picked(stock, window):
    """What diffusers makes of our mask: per latent frame 0 (kept) or 1 (new)."""
    mask = aligned_mask(window, 32, 48)
    return stock.prepare_masks(mask, [[]])[0].mean((0, 2, 3)).tolist()


def test_masks_keep_exactly_the_latent_frames_of_the_kept_frames(stock):
    """Of 17 kept frames in 81 diffusers' own subsampling keeps 4 latent frames; they are 5."""
    for size in (9, 33, 49, 81):
        for kept in range(1, size - 3, 4):
            window = plan_windows(size - kept, size, kept, before=kept)[0]
            count = latent_frames(kept)
            assert picked(stock, window) == [0] * count + [1] * (latent_frames(size) - count)
    naive = torch.ones(1, 1, 81, 32, 48)
    naive[:, :, :17] = 0
    assert stock.prepare_masks(naive, [[]])[0].mean((0, 2, 3)).sum() == 21 - 4


def test_a_following_window_reads_what_the_stock_pipeline_would(
    stock, vace_folder, vace_scene, vace_references
):
    """33 frames of which 17 are kept: a length at which diffusers' masks are right."""
    sizes = wan_tiny.VACE_SIZE | {"window_frames": 33, "kept_frames": 17}
    ours = load_vace(VaceModel(base=vace_folder), VaceOptions(**sizes))
    rng = np.random.default_rng(0)
    before = rng.integers(0, 255, (17, 32, 48, 3), dtype=np.uint8)
    request = ours.prepare(vace_scene, vace_references, GenerationSettings(method="locks"))
    window = plan_windows(16, 33, 17, before=17)[0]
    conditions = ours.condition(request, window, go_on(before, (32, 48), 17))

    video = torch.zeros(1, 3, 33, 32, 48)
    video[0, :, :17] = torch.from_numpy(before).permute(3, 0, 1, 2) / 127.5 - 1
    mask = torch.ones(1, 3, 33, 32, 48)
    mask[:, :, :17] = 0
    from idvid.pipeline.vace_prepare import portraits

    images = portraits(vace_references)[::-1]
    with torch.no_grad():
        _, _, fitted = stock.preprocess_conditions(
            None, None, [images], 1, 32, 48, 1, torch.float32, torch.device("cpu")
        )
        latents = stock.prepare_video_latents(video, mask, fitted)
        masks = stock.prepare_masks(mask, fitted)
    expected = torch.cat([latents, masks], dim=1)
    assert torch.equal(conditions.control, expected)


def test_a_low_strength_loosens_identity_and_not_how_the_clip_goes_on():
    first, second = plan_windows(12, 9, 5)
    assert hint_scale(0.5, 2, 1, first, 6).tolist() == [0.5, 0.5]
    scale = hint_scale(0.5, 2, 1, second, 6)
    assert scale.shape == (2, 1, 6 * 4, 1)  # a reference and 3 latent frames of 6 tokens
    per_frame = scale[0, 0, ::6, 0].tolist()
    assert per_frame == [0.5, 1.0, 1.0, 0.5]
    assert hint_scale(1.0, 2, 1, second, 6).tolist() == [1.0, 1.0]


def test_memory_does_not_grow_with_the_clip():
    history = None
    for window in plan_windows(480, 17, 5):
        frames = np.full((window.num_new, 2, 2, 3), window.index, np.uint8)
        history = remember(history, frames, 5)
        assert len(history.recent) <= 5
        assert len(history.distant) <= 8
    assert history.distant[0].max() == 0  # the clip's first frame is still there
    early, late = distant_frames(history, 4)
    assert early.max() == 0
    assert 0 < late.max() < 39
    assert distant_frames(VaceHistory(recent=frames), 4) == ()


def test_history_is_a_copy_and_not_a_view_of_a_window():
    frames = np.zeros((9, 2, 2, 3), np.uint8)
    history = remember(None, frames, 5)
    assert history.recent.base is None
    assert history.distant[0].base is None


def test_colours_stay_at_a_join():
    rng = np.random.default_rng(0)
    true = rng.integers(60, 190, (14, 8, 8, 3)).astype(np.float32)
    drifted = (true - 128) * 1.08 + 128 + np.array([6, -4, 3])
    made = np.rint(drifted).astype(np.uint8)
    kept = true[:5].astype(np.uint8)
    new = match_colour(made, 5, kept)
    assert new.shape == (9, 8, 8, 3)
    assert np.abs(new - true[5:]).max() <= 2
    assert np.array_equal(match_colour(made, 0, kept[:0]), made)


def test_a_real_change_of_light_is_not_corrected_away():
    kept = np.full((5, 8, 8, 3), 200, np.uint8)
    made = np.full((9, 8, 8, 3), 20, np.uint8)
    assert match_colour(made, 5, kept).max() <= 40

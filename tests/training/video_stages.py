"""Small stages of the video model, and batches of theirs."""

from dataclasses import replace

import torch

from idvid.conditioning.text import slot_ids
from idvid.training.pool import Draws
from idvid.training.video_batch import draw_batch, finish_batch
from idvid.training.video_stage import VideoStage


def video_stage(tiny, sources, **changes):
    torch.manual_seed(0)
    settings = replace(tiny, video=replace(tiny.video, **changes))
    return VideoStage(settings, sources, "cpu")


def batch_of(stage, sources, rows=4, frames=8, **changes):
    stage.pool.poll()
    draws = Draws.of_step(0, 0)
    raw = draw_batch(stage.pool, draws, (rows, frames), slot_ids(sources.tokenizer))
    settings = replace(stage._settings.without_drops(), **changes)
    return raw, finish_batch(raw, settings, draws)

"""Prompts and memories of one length for all batches: a compiled block is made once, and nothing else."""

import pytest
import torch
from torch import nn
from video_stages import batch_of, video_stage

from idvid.conditioning.text import MAX_TOKENS
from idvid.training.flow import conditions_of, predictor
from idvid.training.video_batch import SINGLE


@pytest.fixture(scope="module")
def stage(tiny, sources):
    stage = video_stage(tiny, sources)
    for parameter in stage.model.parameters():  # zero gates would hide everything
        nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(1))
    return stage


def test_padding_that_nobody_may_read_changes_no_prediction(stage, sources):
    _, batch = batch_of(stage, sources)
    level = torch.full(batch.time_s.shape, 0.3)
    with torch.no_grad():
        plain, evened = (predictor(stage.model, batch, evened=e) for e in (False, True))
        torch.testing.assert_close(evened(batch.latents, level), plain(batch.latents, level))


def test_one_length_whatever_a_batch_shows(stage, sources):
    lengths = set()
    for people in (1, 2, 3, 4):
        _, batch = batch_of(stage, sources, frames=SINGLE)
        rows = {name: getattr(batch, name)[:, :1].repeat_interleave(people, 1) for name in _PEOPLE}
        crowd = type(batch)(**{n: rows.get(n, getattr(batch, n)) for n in batch.__slots__})
        conditions = conditions_of(stage.model, crowd, evened=True)
        lengths.add((conditions.prompt.tokens.shape[1], conditions.identity.memory.shape[1]))
    ((words, held),) = lengths
    assert words == MAX_TOKENS
    assert (1 + held) % 16 == 0


_PEOPLE = (
    "landmarks",
    "is_visible",
    "expression",
    "slots",
    "names",
    "vectors",
    "patches",
    "has_reference",
)

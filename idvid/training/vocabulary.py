"""The words of the training captions: the tokenizer, and captions as ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerFast

from idvid.conditioning.text import (
    MAX_TOKENS,
    build_tokenizer,
    encode_words,
    grown_tokenizer,
    split_words,
)
from idvid.models.prompt_encoder import PAD_ID
from idvid.people.captions import vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from idvid.training.records import Record


def obtain_tokenizer(folder: Path, *older: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model folder, made where there is none.

    A new one goes on from the first of the `older` folders that has one, so that trained words keep
    their ids (`start_part` keeps their vectors), and knows every word of the captions.
    """
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    starts = [path for path in older if (path / "tokenizer.json").exists()]
    if starts:
        known = PreTrainedTokenizerFast.from_pretrained(starts[0])
        tokenizer = grown_tokenizer(known, vocabulary())
    else:
        tokenizer = build_tokenizer(vocabulary())
    tokenizer.save_pretrained(folder)
    return tokenizer


def caption_ids(record: Record, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Ids (N, phrasings, MAX_TOKENS) of a shard's captions, padded."""
    captions: list[list[str]] = json.loads(record.notes["captions"])
    return torch.stack([_encode(phrasings, tokenizer) for phrasings in captions])


def _encode(phrasings: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> Tensor:
    ids = torch.full((len(phrasings), MAX_TOKENS), PAD_ID)
    for row, text in zip(ids, phrasings, strict=True):
        words = encode_words(split_words(text), tokenizer)[0]
        row[: len(words)] = words
    return ids

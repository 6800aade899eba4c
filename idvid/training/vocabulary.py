"""The words of the training captions: the tokenizer, and captions as ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerFast

from idvid.conditioning.text import (
    MAX_TOKENS,
    SLOT_TOKENS,
    build_tokenizer,
    encode_words,
    split_words,
)
from idvid.models.prompt_encoder import PAD_ID
from idvid.people import sample_person, sample_scene
from idvid.people.captions import caption
from idvid.training.seeding import MAX_PEOPLE, person_seeds, scene_seed
from idvid.training.shards import HANDLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from idvid.training.records import Record

NUM_SCENES = 3000


def caption_words(num_scenes: int = NUM_SCENES) -> set[str]:
    """Every word of the captions of the first training scenes (no rendering)."""
    words: set[str] = set()
    for clip in range(num_scenes):
        count = clip % MAX_PEOPLE + 1
        seed = scene_seed("train", clip)
        specs = [sample_person(person) for person in person_seeds("train", clip, count)]
        scene = sample_scene(seed, count)
        words.update(split_words(caption(scene, specs, HANDLES[:count], seed)))
    return words


def obtain_tokenizer(folder: Path, num_scenes: int = NUM_SCENES) -> PreTrainedTokenizerFast:
    """The tokenizer of a model folder; made from the captions where there is none."""
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer = build_tokenizer(caption_words(num_scenes))
    tokenizer.save_pretrained(folder)
    return tokenizer


def slot_ids(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Ids (8,) of the slot tokens."""
    known = tokenizer.get_vocab()
    return torch.tensor([known[token] for token in SLOT_TOKENS])


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

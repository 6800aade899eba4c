"""Prompts as the bundled model reads them: whole words, and one token per character.

`@name` becomes the character's slot token `<c1>`..`<c8>`, followed by the character's description
the first time. The vocabulary is the words of the training captions; a word outside it is left out
and can be listed for the user (`unknown_words`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from idvid.config import MAX_CHARACTERS
from idvid.models.conditions import Prompt
from idvid.models.prompt_encoder import PAD_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn

    from idvid.types import Character

MAX_TOKENS = 96
SLOT_TOKENS = tuple(f"<c{slot + 1}>" for slot in range(MAX_CHARACTERS))
_WORD = re.compile(r"<c[1-8]>|@[\w-]+|[a-z]+(?:-[a-z]+)*", re.IGNORECASE)
_SPECIAL = ("[PAD]", "[UNK]", *SLOT_TOKENS)


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over `words` (lower case) and the slot tokens."""
    return _tokenizer_of([*_SPECIAL, *sorted(set(words) - set(_SPECIAL))])


def grown_tokenizer(
    tokenizer: PreTrainedTokenizerFast, words: Iterable[str]
) -> PreTrainedTokenizerFast:
    """A tokenizer with more words; known ones keep their ids and new ones come after them."""
    ids = tokenizer.get_vocab()
    known = sorted(ids, key=ids.__getitem__)
    return _tokenizer_of([*known, *sorted(set(words) - set(known))])


def _tokenizer_of(words: Sequence[str]) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")


def split_words(text: str) -> list[str]:
    """Lower-case words, `@names` and slot tokens of a text, punctuation left out."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def compile_prompt(prompt: str, characters: Sequence[Character]) -> list[str]:
    """Words of the prompt with slot tokens for `@names`.

    A character whom the prompt does not mention is put at its end, so that everybody with photos
    is in the picture.
    """
    slots = {mention_key(c.name): slot for slot, c in enumerate(characters)}
    words: list[str] = []
    introduced: set[int] = set()
    for word in split_words(prompt):
        slot = slots.get(word[1:]) if word.startswith("@") else None
        if slot is None:
            words.append(word)
            continue
        words.extend(_introduce(slot, characters, introduced))
    for slot in range(len(characters)):
        if slot not in introduced:
            words.extend(_introduce(slot, characters, introduced))
    return words


def mention_key(name: str) -> str:
    """The form in which `@name` is looked up: lower case, spaces as underscores."""
    return name.strip().lower().replace(" ", "_")


def unknown_words(words: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> tuple[str, ...]:
    """Words the model never saw in training, each once, in the prompt's order."""
    known = tokenizer.get_vocab()
    return tuple(dict.fromkeys(word for word in words if word not in known))


def encode_words(words: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Ids (1, L) of the known words, at most MAX_TOKENS; one padding token if none is known."""
    known = tokenizer.get_vocab()
    ids = [known[word] for word in words if word in known][:MAX_TOKENS]
    return torch.tensor([ids or [PAD_ID]], dtype=torch.long)


def slot_ids(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Ids (8,) of the slot tokens."""
    known = tokenizer.get_vocab()
    return torch.tensor([known[token] for token in SLOT_TOKENS])


def encode_prompt(encoder: nn.Module, ids: Tensor, names: Tensor) -> Prompt:
    """Encode ids (B, L); `names` (B, C) is the id of each character's slot token."""
    tokens, is_token = encoder(ids)
    return Prompt(tokens=tokens, is_token=is_token, mentions=mention_weights(ids, names))


def mention_weights(ids: Tensor, names: Tensor) -> Tensor:
    """Weights (B, C, L) that average the tokens naming each character; 0 where nobody does."""
    is_name = (ids[:, None] == names[..., None]).float()
    return is_name / is_name.sum(-1, keepdim=True).clamp(min=1)


def _introduce(slot: int, characters: Sequence[Character], introduced: set[int]) -> list[str]:
    if slot in introduced:
        return [SLOT_TOKENS[slot]]
    introduced.add(slot)
    return [SLOT_TOKENS[slot], *split_words(characters[slot].description)]

"""What the GPU benchmark's pipelines are asked to draw, and their parts without weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from diffusers import UniPCMultistepScheduler

from idvid.faces.quality import ReferenceFace
from idvid.faces.types import Face
from idvid.pipeline.vace_options import VaceOptions
from idvid.types import Character, Scene

if TYPE_CHECKING:
    from benchmarks.gpu_models import Size

FPS = 16.0
_LANDMARKS = np.array([[110, 80], [95, 82], [50, 80], [65, 82], [80, 110]], np.float32)


def scene_of(size: Size) -> Scene:
    """Two people, as long as one window."""
    names = ("Ana", "Ben")
    cast = tuple(
        Character(name=name, photos=(own[0].image,))
        for name, own in zip(names, references(), strict=True)
    )
    return Scene(
        prompt="@Ana and @Ben talk", characters=cast, seconds=size.request.num_frames / FPS, seed=0
    )


def references() -> tuple[tuple[ReferenceFace, ...], ...]:
    """Two people with one photo each; what it shows costs nothing."""
    rng = np.random.default_rng(0)
    face = Face(box=np.array([40, 50, 120, 130], np.float32), landmarks=_LANDMARKS, score=1.0)
    return tuple(
        (
            ReferenceFace(
                photo_index=0,
                image=rng.integers(0, 255, (200, 160, 3), dtype=np.uint8),
                face=face,
                embedding=np.zeros(128, np.float32),
            ),
        )
        for _ in range(2)
    )


def scheduler() -> UniPCMultistepScheduler:
    """As on the Hub, for 480p."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def tokenizer() -> Any:  # noqa: ANN401 - transformers'
    """A tokenizer of T5's kind, made on the spot: prompts are padded to one length anyway."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import T5Tokenizer

    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz.,"),
        show_progress=False,
    )
    core.train_from_iterator(
        ["a woman and a man talk in the park, from left to right"] * 4, trainer
    )
    pieces = json.loads(core.to_str())["model"]["vocab"]
    made = T5Tokenizer(vocab=[tuple(piece) for piece in pieces], extra_ids=0)
    made.model_max_length = 512
    return made


def vace_options(size: Size) -> VaceOptions:
    """Our pipeline making the scene in one window."""
    request = size.request
    return VaceOptions(
        width_px=request.width,
        height_px=request.height,
        window_frames=request.num_frames,
        kept_frames=5,
        fps=FPS,
    )

"""The bundled model as one value, and its folder in the Hub's format.

A folder holds one sub-folder per part, each with `config.json` and safetensors in shards of less
than 9 MB, a `tokenizer` folder and `model_index.json`. Weights are half precision on disk. The
few-step student of the video transformer, the reenactor and the head matte are parts that a model may
lack.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedTokenizerFast

from idvid.errors import ModelError
from idvid.models.autoencoder import FrameAutoencoder
from idvid.models.face_backbone import FaceBackbone
from idvid.models.face_planner import FacePlanner
from idvid.models.head_matte import HeadMatte
from idvid.models.head_reenactor import HeadReenactor
from idvid.models.identity_bank import MultiCharacterIdentityBank
from idvid.models.identity_encoder import IdentityEncoder
from idvid.models.prompt_encoder import PromptEncoder
from idvid.models.video_transformer import VideoTransformer

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers.models.modeling_utils import ModelMixin

SHARD_SIZE = "9MB"
PART_CLASSES: dict[str, Any] = {
    "autoencoder": FrameAutoencoder,
    "backbone": FaceBackbone,
    "identity_encoder": IdentityEncoder,
    "identity_bank": MultiCharacterIdentityBank,
    "prompt_encoder": PromptEncoder,
    "transformer": VideoTransformer,
    "planner": FacePlanner,
    "planner_prompt_encoder": PromptEncoder,
}

STUDENT, REENACTOR, MATTE = "transformer_few", "reenactor", "matte"
PHOTO_PARTS = (REENACTOR, MATTE)  # change photos before they are laid; each is trained alone
_OPTIONAL: dict[str, Any] = {
    STUDENT: VideoTransformer,
    REENACTOR: HeadReenactor,
    MATTE: HeadMatte,
}
ALL_CLASSES = PART_CLASSES | _OPTIONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledModel:
    """Every trained part of idvid-mini and its tokenizer."""

    autoencoder: FrameAutoencoder
    backbone: FaceBackbone
    identity_encoder: IdentityEncoder
    identity_bank: MultiCharacterIdentityBank
    prompt_encoder: PromptEncoder
    transformer: VideoTransformer
    planner: FacePlanner
    planner_prompt_encoder: PromptEncoder
    tokenizer: PreTrainedTokenizerFast
    transformer_few: VideoTransformer | None = None  # distilled: few steps, no guidance
    reenactor: HeadReenactor | None = None  # turns and moves the faces on photos
    matte: HeadMatte | None = None  # tells people on photos from what is behind them

    def parts(self) -> dict[str, ModelMixin]:
        """The trained parts by name; those that a model may lack only if they are there."""
        parts = {name: getattr(self, name) for name in ALL_CLASSES}
        return {name: part for name, part in parts.items() if part is not None}


def stored_names(folder: Path) -> list[str]:
    """The parts to read from a model folder: all that a model must have, and others if stored."""
    stored = [name for name in _OPTIONAL if (folder / name / "config.json").is_file()]
    return [*PART_CLASSES, *stored]


def save_part(part: ModelMixin, folder: Path) -> None:
    """Write one part in half precision; the part itself keeps its precision."""
    part_class: Any = type(part)
    # Private entries of a config say where it was loaded from, which is nobody's business.
    public = {name: value for name, value in part.config.items() if not name.startswith("_")}
    copy = part_class.from_config(public)
    copy.load_state_dict(part.state_dict())
    copy.half().save_pretrained(folder, max_shard_size=SHARD_SIZE)


def load_part(name: str, folder: Path, dtype: torch.dtype = torch.float32) -> Any:  # noqa: ANN401 - the class of the name
    """Read one part, ready for inference.

    Raises:
        ModelError: the folder is missing or its files do not fit the part.
    """
    try:
        part = ALL_CLASSES[name].from_pretrained(folder, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"The model's part '{name}' is missing or damaged; download the model again."
        raise ModelError(message) from error
    return part.eval().requires_grad_(False)


def save_bundled(model: BundledModel, folder: Path) -> None:
    """Write all parts, the tokenizer and the index of a diffusers pipeline."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in model.parts().items():
        save_part(part, folder / name)
    model.tokenizer.save_pretrained(folder / "tokenizer")
    index: dict[str, object] = {"_class_name": "IdVidPipeline"}
    kinds = {name: type(part) for name, part in model.parts().items()}
    index |= {name: [kind.__module__, kind.__name__] for name, kind in kinds.items()}
    index["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def load_bundled(folder: Path) -> BundledModel:
    """Read a folder that `save_bundled` wrote.

    Raises:
        ModelError: a part is missing or damaged.
    """
    parts = {name: load_part(name, folder / name) for name in stored_names(folder)}
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    except (OSError, ValueError) as error:
        message = "The model's tokenizer is missing or damaged; download the model again."
        raise ModelError(message) from error
    return BundledModel(**parts, tokenizer=tokenizer)


def new_model(tokenizer: PreTrainedTokenizerFast, **configs: dict[str, object]) -> BundledModel:
    """A model with random weights; `configs` gives a part's settings by the part's name."""
    unknown = set(configs) - {f.name for f in fields(BundledModel)}
    if unknown:
        message = f"There is no part named {sorted(unknown)[0]!r}."
        raise ValueError(message)
    sizes = {"vocabulary_size": len(tokenizer)}
    defaults = {"prompt_encoder": sizes, "planner_prompt_encoder": sizes | {"width": 192}}
    parts = {
        name: kind.from_config({**defaults.get(name, {}), **configs.get(name, {})}).eval()
        for name, kind in PART_CLASSES.items()
    }
    return BundledModel(**parts, tokenizer=tokenizer)

"""A model's parts from their configurations, built on the meta device, and what is on disk.

A folder or snapshot in the Hub's form: `model_index.json`, and a sub-folder per part with
`config.json` and safetensors. Nothing is loaded, and no code from the folder runs: classes come
from diffusers, transformers and idvid alone.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from idvid.errors import ModelError
from idvid.models.published import PartConfig

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

_LIBRARIES = ("diffusers", "transformers", "idvid")
_DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWeights:
    """What safetensors headers say of a part."""

    num_params: int
    num_bytes: int


def read_parts(folder: Path) -> dict[str, PartConfig]:
    """The parts of a model folder that have weights, by name.

    Raises:
        ModelError: If the folder is no model in the Hub's form.
    """
    index = _json(folder / "model_index.json")
    parts: dict[str, PartConfig] = {}
    for name, kind in index.items():
        config = folder / name / "config.json"
        if isinstance(kind, list) and all(isinstance(k, str) for k in kind) and config.is_file():
            library, class_name = kind
            parts[name] = PartConfig(library=library, class_name=class_name, config=_json(config))
    if not parts:
        raise ModelError("The model has no part with a config.json; choose one in diffusers' form.")
    return parts


def build_part(part: PartConfig) -> nn.Module:
    """The part without weights: on the meta device, in float32.

    Raises:
        ModelError: If its class is not known here, or the configuration does not fit it.
    """
    root = part.library.partition(".")[0]
    if root not in _LIBRARIES:
        raise ModelError(_unknown(part))
    found = getattr(importlib.import_module(part.library), part.class_name, None)
    if found is None:
        raise ModelError(_unknown(part))
    public = {k: v for k, v in part.config.items() if not k.startswith("_")}
    try:
        with torch.device("meta"):
            if root == "transformers":
                return found(found.config_class(**public)).eval()
            return found.from_config(public).eval()
    except Exception as error:
        raise ModelError(
            f"The configuration of {part.class_name[:60]} does not fit its class; choose a model "
            "made for this version, or update idvid."
        ) from error


def stored_weights(folder: Path) -> StoredWeights | None:
    """What a part's safetensors hold, or None if there are none; only headers are read.

    Raises:
        ModelError: If a file is damaged or cut off.
    """
    files = sorted(folder.glob("*.safetensors"))
    params = size = 0
    for file in files:
        try:
            with safe_open(file, framework="pt") as weights:
                for key in weights.keys():  # noqa: SIM118 - not a dict
                    part = weights.get_slice(key)
                    count = torch.Size(part.get_shape()).numel()
                    params += count
                    size += count * _DTYPE_BYTES.get(part.get_dtype(), 1)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"The weights file {file.name} is damaged or cut off; download the model again."
            ) from error
    return StoredWeights(num_params=params, num_bytes=size) if files else None


def _json(file: Path) -> dict[str, object]:
    try:
        value = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The model's {file.name} is missing or damaged; give a model in diffusers' form."
        ) from error
    if not isinstance(value, dict):
        raise ModelError(f"The model's {file.name} holds no settings; download the model again.")
    return value


def _unknown(part: PartConfig) -> str:
    return (
        f"A part of the model is of the kind {part.class_name[:60]}, which idvid does not know; "
        "choose a Wan model in diffusers' form."
    )

"""Models in the Hub's format, read strictly: every weight by its name, no more and no less."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from idvid.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers.models.modeling_utils import ModelMixin

_WEIGHTS = "diffusion_pytorch_model*.safetensors"
_Model = TypeVar("_Model", bound="ModelMixin")


def load_strictly(
    kind: type[_Model], folder: Path, name: str, dtype: torch.dtype = torch.float32
) -> _Model:
    """Read a folder that `kind.save_pretrained` wrote.

    Args:
        kind: the class; it is not read from the file.
        folder: holds config.json and safetensors.
        name: what users call it, as in "the identity adapter".
        dtype: precision of the weights.

    Raises:
        ModelError: a file is missing or damaged, a setting is unknown, or a weight is missing,
            unexpected or of another shape.
    """
    config = _read_config(kind, folder / "config.json", name)
    try:
        with torch.device("meta"):
            wanted = kind(**config).state_dict()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The config.json of {name} has values of the wrong kind; download it again."
        ) from error
    shapes = {key: tuple(value.shape) for key, value in wanted.items()}
    _compare(shapes, _shapes(folder, name), name)
    model: Any = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    return model


def _read_config(kind: Any, file: Path, name: str) -> dict[str, Any]:  # noqa: ANN401 - a ConfigMixin
    """The settings, without diffusers' private entries."""
    try:
        read = json.loads(file.read_text())
        public = {k: v for k, v in read.items() if not k.startswith("_")}
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(
            f"There is no readable config.json of {name}; download it again."
        ) from error
    unknown = sorted(set(public) - set(kind._get_init_keys(kind)))
    if unknown:
        raise ModelError(
            f"The config.json of {name} has a setting '{unknown[0][:40]}' that this version of "
            "idvid does not know; update idvid or choose another."
        )
    return public


def _shapes(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        for file in sorted(folder.glob(_WEIGHTS)):
            with safe_open(file, framework="pt") as weights:
                shapes |= {k: tuple(weights.get_slice(k).get_shape()) for k in weights.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights of {name} are damaged; download it again.") from error
    return shapes


def _compare(
    wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]], name: str
) -> None:
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    other = [key for key in sorted(wanted) if found.get(key, wanted[key]) != wanted[key]]
    if missing:
        raise ModelError(
            f"{len(missing)} of {len(wanted)} weights of {name} are missing, '{missing[0]}' first; "
            "download it again."
        )
    if unexpected:
        raise ModelError(
            f"{len(unexpected)} weights do not belong to {name}, '{unexpected[0][:80]}' first; "
            "choose one in idvid's format."
        )
    if other:
        key = other[0]
        raise ModelError(
            f"The weight '{key}' of {name} has the shape {list(found[key])} and its config.json "
            f"says {list(wanted[key])}; download it again."
        )

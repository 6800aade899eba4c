"""The state of a training run on disk: tensors in files of limited size, and one JSON file.

A checkpoint is a folder `step-<n>`, renamed into place when it is whole; the newest two are kept.
Everything random in training is a function of seed and step, so that no generator's state is here.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FILE_LIMIT_BYTES = 15_000_000
_KEPT = 2


def save_state(folder: Path, step: int, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the one before it whole."""
    target, partial = folder / f"step-{step:08d}", folder / f".step-{step:08d}.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for index, group in enumerate(_groups(tensors)):
        save_file(group, partial / f"tensors-{index:05d}.safetensors")
    (partial / "notes.json").write_text(json.dumps(notes | {"step": step}, indent=1))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old)


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the newest checkpoint, or None where there is none."""
    found = _checkpoints(folder)
    if not found:
        return None
    tensors: dict[str, Tensor] = {}
    for path in sorted(found[-1].glob("tensors-*.safetensors")):
        tensors |= load_file(path)
    return tensors, json.loads((found[-1] / "notes.json").read_text())


def pack(**trees: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join named state dicts to one: `model/weight`, `average/weight`."""
    return {
        f"{tree}/{name}": tensor.detach().cpu().contiguous()
        for tree, tensors in trees.items()
        for name, tensor in tensors.items()
    }


def unpack(tensors: dict[str, Tensor], tree: str) -> dict[str, Tensor]:
    """The inverse of `pack` for one state dict."""
    prefix = f"{tree}/"
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _groups(tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        bytes_ = tensor.numel() * tensor.element_size()
        if groups[-1] and size + bytes_ > FILE_LIMIT_BYTES:
            groups.append({})
            size = 0
        # A clone: two names may share one storage, which safetensors refuses.
        groups[-1][name] = tensor.clone()
        size += bytes_
    return groups

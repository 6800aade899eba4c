"""The arrays of one shard on disk: safetensors files, written whole or not at all.

A shard is named `<split>-<number>` and its derivatives lie beside it (`.latents-<key>`). Knows no
renderer and no model.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_NOTES = "notes"
SUFFIX = ".safetensors"


def write_record(path: Path, arrays: Mapping[str, NDArray], notes: Mapping[str, str]) -> None:
    """Write arrays and notes so that a reader finds either the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process number keeps two writers apart; the name is not one that `names` lists.
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    # save_file writes the buffer as it lies in memory, so a view must become an array first.
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # One entry, because the file's writer orders several at random.
    save_file(whole, partial, metadata={_NOTES: json.dumps(dict(notes), sort_keys=True)})
    partial.replace(path)


class Record:
    """One shard's file, read through a memory map."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="numpy")
        entries: dict[str, str] = self._file.metadata() or {}
        # The first shards have their notes side by side.
        self.notes = json.loads(entries[_NOTES]) if _NOTES in entries else entries
        self._slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118 - no dict

    def __len__(self) -> int:
        """Number of clips, people or traces: the first axis of every array."""
        return self.shape(next(iter(self._slices)))[0]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it."""
        return tuple(self._slices[name].get_shape())

    def row(self, name: str, *index: int) -> NDArray[np.generic]:
        """`array[index]`, without reading the rest."""
        return self._slices[name][index]

    def array(self, name: str) -> NDArray[np.generic]:
        """The whole array."""
        return self._file.get_tensor(name)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All arrays."""
        return {name: self.array(name) for name in self._slices}


def record_path(folder: Path, name: str, derivative: str = "") -> Path:
    """Where a shard, or something made of it, lies."""
    return folder / f"{name}{'.' + derivative if derivative else ''}{SUFFIX}"


def record_names(folder: Path, split: str, derivative: str = "") -> list[str]:
    """Names of the finished shards of a split, in order."""
    ending = re.escape(f"{'.' + derivative if derivative else ''}{SUFFIX}")
    pattern = re.compile(rf"({re.escape(split)}-\d+){ending}")
    found = (pattern.fullmatch(path.name) for path in _files(folder))
    return sorted(match[1] for match in found if match)


def clear_partials(folder: Path) -> None:
    """Remove what killed writers left behind; call it while no writer runs."""
    for path in _files(folder):
        if path.name.endswith(".part"):
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []

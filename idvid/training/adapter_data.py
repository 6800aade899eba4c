"""Clips as the training of a Wan adapter reads them: video, caption, faces, references.

Owns what a clip is, and the source that draws rendered ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch

from idvid.conditioning.wan_tokens import reference_crops
from idvid.faces.quality import ReferenceFace
from idvid.faces.types import Face
from idvid.training.records import Record, record_names, record_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.conditioning.wan_tokens import ReferenceCrops

# Captions call character c a handle.
NAMES = {"<c1>": "Ana", "<c2>": "Ben", "<c3>": "Cleo", "<c4>": "Dan"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterClip:
    """One clip of C people."""

    video: Tensor  # (1, 3, F, H, W) -1..1
    caption: str
    landmarks: Tensor  # (C, F, 5, 2) px
    is_visible: Tensor  # (C, F) bool
    crops: ReferenceCrops


class ClipSource(Protocol):
    """Anything that clips can be drawn from."""

    def draw(self, rng: Generator) -> AdapterClip:
        """A clip, and which of each person's photos the model is shown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardClips:
    """Rendered clips from finished shards."""

    folder: Path
    num_frames: int  # 4 n + 1; shorter clips are read as far as 4 n + 1 goes
    max_references: int

    def draw(self, rng: Generator) -> AdapterClip:
        """Any stretch of any clip of any training shard, with some of each person's portraits."""
        names = record_names(self.folder, "train")
        record = Record(record_path(self.folder, names[rng.integers(len(names))]))
        row = int(rng.integers(len(record)))

        def array(name: str) -> NDArray:
            return cast("NDArray", record.row(name, row))

        count = int(array("is_person").sum())
        frames = array("frames")
        length = min(self.num_frames, (len(frames) - 1) // 4 * 4 + 1)  # shards differ
        start = int(rng.integers(len(frames) - length + 1))
        cut = slice(start, start + length)
        images, points = array("references")[:count], array("reference_landmarks")[:count]
        chosen = rng.permutation(images.shape[1])[: rng.integers(1, self.max_references + 1)]
        references = [
            [_reference(images[c, k], points[c, k]) for k in chosen.tolist()] for c in range(count)
        ]
        return AdapterClip(
            video=pixels(frames[cut]),
            caption=_caption(json.loads(record.notes["captions"])[row], rng),
            landmarks=torch.from_numpy(array("landmarks")[:count, cut].copy()).float(),
            is_visible=torch.from_numpy(array("visible")[:count, cut].copy()),
            crops=reference_crops(references),
        )


def pixels(frames: NDArray[np.uint8]) -> Tensor:
    """Frames (F, H, W, 3) as (1, 3, F, H, W) in -1..1."""
    return torch.from_numpy(frames.copy()).permute(3, 0, 1, 2).float()[None] / 127.5 - 1


def _caption(captions: list[str], rng: Generator) -> str:
    caption = str(captions[rng.integers(len(captions))])
    for handle, name in NAMES.items():
        caption = caption.replace(handle, name)
    return caption


def _reference(image: NDArray, landmarks: NDArray) -> ReferenceFace:
    """A rendered portrait; neither its box nor the judge's vector is read in training."""
    face = Face(box=np.zeros(4, np.float32), landmarks=landmarks, score=1.0)
    return ReferenceFace(
        photo_index=0, image=image, face=face, embedding=np.zeros(0, dtype=np.float32)
    )

"""Rendered clips as the training of a Wan adapter reads them: video, caption, faces, references."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

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


def draw_clip(folder: Path, num_frames: int, max_references: int, rng: Generator) -> AdapterClip:
    """Any clip of any finished training shard, with some of each person's references."""
    names = record_names(folder, "train")
    record = Record(record_path(folder, names[rng.integers(len(names))]))
    row = int(rng.integers(len(record)))

    def array(name: str) -> NDArray:
        return cast("NDArray", record.row(name, row))

    count = int(array("is_person").sum())
    frames = array("frames")[:num_frames]
    captions = json.loads(record.notes["captions"])[row]
    caption = str(captions[rng.integers(len(captions))])
    for handle, name in NAMES.items():
        caption = caption.replace(handle, name)
    images, points = array("references")[:count], array("reference_landmarks")[:count]
    chosen = rng.permutation(images.shape[1])[: rng.integers(1, max_references + 1)]
    references = [
        [_reference(images[c, k], points[c, k]) for k in chosen.tolist()] for c in range(count)
    ]
    return AdapterClip(
        video=torch.from_numpy(frames.copy()).permute(3, 0, 1, 2).float()[None] / 127.5 - 1,
        caption=caption,
        landmarks=torch.from_numpy(array("landmarks")[:count, :num_frames].copy()).float(),
        is_visible=torch.from_numpy(array("visible")[:count, :num_frames].copy()),
        crops=reference_crops(references),
    )


def _reference(image: NDArray, landmarks: NDArray) -> ReferenceFace:
    """A rendered portrait; neither its box nor the judge's vector is read in training."""
    face = Face(box=np.zeros(4, np.float32), landmarks=landmarks, score=1.0)
    return ReferenceFace(
        photo_index=0, image=image, face=face, embedding=np.zeros(0, dtype=np.float32)
    )

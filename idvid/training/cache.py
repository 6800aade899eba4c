"""A shard of clips as the video stage reads it: latents, anchors, face vectors, patches.

Made once per shard by a worker process, with the frozen autoencoder and face backbone, and kept
beside the shard under a key of their weights: other weights, another file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn

from idvid import runtime
from idvid.conditioning.anchors import PlannedFaces, anchor_frames, encode_anchors
from idvid.conditioning.references import (
    ReferencePictures,
    cut_out,
    reference_features,
    reference_pictures,
)
from idvid.models.checkpoint import PHOTO_PARTS, load_part
from idvid.training.feeder import clip_jobs, derive_shards
from idvid.training.pool import to_signed
from idvid.training.records import Record, record_path, write_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.models.face_backbone import FaceBackbone
    from idvid.models.head_matte import HeadMatte
    from idvid.models.head_reenactor import HeadReenactor
    from idvid.training.settings import DataSettings

FORMAT = 4
NUM_VARIANTS = 2  # draws of references per clip
MAX_CHOSEN = 8  # references in one draw: 1..8, where so many were rendered
FROZEN = ("autoencoder", "backbone")
_DECODERS = ("decoder.", "linear_decode.")  # of the autoencoder
_CLIP_ARRAYS = (
    "frames",
    "landmarks",
    "visible",
    "expression",
    "references",
    "reference_landmarks",
    "is_person",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenModels:
    """What turns pictures into numbers, trained before and never again."""

    autoencoder: FrameAutoencoder
    backbone: FaceBackbone
    reenactor: HeadReenactor | None = None
    matte: HeadMatte | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheJob:
    """What the encoding worker makes."""

    folder: Path  # of the shards
    models: Path  # with sub-folders autoencoder, backbone and, where there are any, PHOTO_PARTS
    data: DataSettings


def load_frozen(models: Path, device: torch.device | str = "cpu") -> FrozenModels:
    """Load the autoencoder, the face backbone and, where there are any, reenactor and head matte.

    Raises:
        ModelError: one is missing; train it first.
    """
    target = torch.device(device)
    stored = [n for n in PHOTO_PARTS if (models / n / "config.json").exists()]
    names = (*FROZEN, *stored)
    parts = {name: nn.Module.to(load_part(name, models / name), target) for name in names}
    return FrozenModels(**parts)  # pyright: ignore[reportArgumentType] - each the class of its name


def derivative_name(models: Path) -> str:
    """Name of the shards' derivatives made with these weights; the decoder's make no difference."""
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    for name in (*FROZEN, *PHOTO_PARTS):
        for path in sorted((models / name).glob("*.safetensors")):
            for key, tensor in sorted(load_file(path).items()):
                if not key.startswith(_DECODERS):
                    digest.update(key.encode() + tensor.tobytes())
    return f"latents-{digest.hexdigest()[:8]}"


def encode_shards(job: CacheJob, worker: int = 0) -> None:
    """Encode this worker's share of the shards as they appear, until all that are wanted exist."""
    frozen = load_frozen(job.models, job.data.encode_device)
    derivative = derivative_name(job.models)
    names = [shard.name for shard in clip_jobs(job.data)][worker :: job.data.encoders]

    def write(name: str, path: Path) -> None:
        write_encoded(Record(record_path(job.folder, name)), path, frozen)

    derive_shards(job.folder, names, ("", derivative), write)


def write_encoded(record: Record, path: Path, frozen: FrozenModels) -> None:
    """Encode one shard; which references are drawn follows from the shard's name."""
    digest = hashlib.sha256(path.name.split(".")[0].encode()).digest()
    rng = np.random.default_rng(list(digest))
    device = frozen.autoencoder.device.type
    with torch.autocast(device, torch.bfloat16, enabled=runtime.is_fast_in_bf16(device)):
        clips = [_encode_clip(record, index, frozen, rng) for index in range(len(record))]
    arrays = {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}
    write_record(path, arrays, record.notes)


def _encode_clip(
    record: Record, index: int, frozen: FrozenModels, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    device = frozen.autoencoder.device
    clip: dict[str, Any] = {name: record.row(name, index) for name in _CLIP_ARRAYS}
    frames = to_signed(torch.from_numpy(clip["frames"]).to(device))
    landmarks = torch.from_numpy(clip["landmarks"]).to(device)
    visible = torch.from_numpy(clip["visible"]).to(device)
    pictures = [
        cut_out(
            _pictures(clip["references"][c], clip["reference_landmarks"][c], device), frozen.matte
        )
        if present
        else None
        for c, present in enumerate(clip["is_person"].tolist())
    ]
    with torch.no_grad():
        latents = frozen.autoencoder.encode(frames)
        vectors, patches = _features(pictures, frozen)
    chosen = np.stack([_choose(pictures, rng) for _ in range(NUM_VARIANTS)])
    size = (frames.shape[-2], frames.shape[-1])
    plan = PlannedFaces(
        landmarks=landmarks,
        expression=torch.from_numpy(clip["expression"]).to(device),
        is_visible=visible,
    )
    anchors = [
        encode_anchors(
            *anchor_frames(_subset(pictures, draw), plan, size, frozen.reenactor),
            frozen.autoencoder,
        )
        for draw in chosen
    ]
    heights = (clip["landmarks"] + 0.5) / size[0]
    return {
        "latents": _half(latents),  # (T, C, h, w)
        "anchors": _half(torch.stack(anchors)),  # (V, T, C + 1, h, w)
        "chosen": chosen,  # (V, C, MAX_CHOSEN) index of each drawn reference, -1 none
        "vectors": _half(vectors),  # (C, R, E)
        "patches": _half(patches),  # (C, R, P, F)
        "landmarks": heights.astype(np.float32),  # (C, T, 5, 2) in frame heights
        "visible": clip["visible"],  # (C, T)
        "expression": clip["expression"],  # (C, T, E)
        "is_person": clip["is_person"],  # (C,)
    }


def _pictures(images: np.ndarray, points: np.ndarray, device: torch.device) -> ReferencePictures:
    """One character's portraits, scaled as photos of users are."""
    pictures = reference_pictures(list(images), list(points))
    return ReferencePictures(
        images=tuple(image.to(device) for image in pictures.images),
        landmarks=pictures.landmarks.to(device),
    )


def _features(
    pictures: Sequence[ReferencePictures | None], frozen: FrozenModels
) -> tuple[Tensor, Tensor]:
    """Vectors (C, R, E) and patches (C, R, P, F), zero for characters that are not there.

    All photos of a clip at once: one by one is slow on a GPU.
    """
    given = [item for item in pictures if item is not None]
    joined = ReferencePictures(
        images=tuple(image for item in given for image in item.images),
        landmarks=torch.cat([item.landmarks for item in given]),
    )
    features = reference_features(joined, frozen.backbone, frozen.autoencoder)
    is_there = [item is not None for item in pictures]
    return _by_character(features.vectors, is_there), _by_character(features.patches, is_there)


def _by_character(values: Tensor, is_there: list[bool]) -> Tensor:
    """Values of all photos (n, ...) by character (C, R, ...), zeros for those who are not there."""
    given = values.unflatten(0, (sum(is_there), -1))
    whole = given.new_zeros(len(is_there), *given.shape[1:])
    whole[torch.tensor(is_there)] = given
    return whole


def _choose(pictures: Sequence[ReferencePictures | None], rng: np.random.Generator) -> np.ndarray:
    """Draw 1 to MAX_CHOSEN references of each character: (C, MAX_CHOSEN) indices, -1 none."""
    chosen = np.full((len(pictures), MAX_CHOSEN), -1, np.int64)
    for row, item in zip(chosen, pictures, strict=True):
        if item is None:
            continue
        count = int(rng.integers(1, min(MAX_CHOSEN, len(item.images)) + 1))
        row[:count] = rng.permutation(len(item.images))[:count]
    return chosen


def _subset(
    pictures: Sequence[ReferencePictures | None], chosen: np.ndarray
) -> list[ReferencePictures | None]:
    return [
        None if item is None else item.of([int(index) for index in row if index >= 0])
        for item, row in zip(pictures, chosen, strict=True)
    ]


def _half(values: Tensor) -> np.ndarray:
    return values.half().cpu().numpy()

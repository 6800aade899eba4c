"""Where everybody is in each clip of a user's folder, found once and kept beside the run.

The conditioning backbone says which face is whose (`conditioning.regions`), never the judge.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image

from idvid.conditioning.regions import find_characters
from idvid.errors import InputError
from idvid.media.clip_reader import VideoLimits, iter_video
from idvid.media.image import shown_name
from idvid.scene_file import mention
from idvid.training.records import Record, record_path, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.conditioning.wan_tokens import ReferenceCrops
    from idvid.models.face_backbone import FaceBackbone
    from idvid.training.clip_folder import ClipEntry

MIN_SEEN = 0.25  # of a clip's frames must show each of its people
MAX_ENLARGED = 1.5
_READ = VideoLimits(max_side=2048, max_fps=16.0)  # Wan2.1 plays 16 frames a second


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipShape:
    """What is cut out of every clip."""

    width_px: int = 832  # multiple of 16
    height_px: int = 480  # multiple of 16
    num_frames: int = 13  # 4 n + 1, of a clip at most 16 frames a second

    def __post_init__(self) -> None:
        """Refuse what the model cannot read.

        Raises:
            InputError: a number does not fit.
        """
        if self.width_px % 16 or self.height_px % 16 or min(self.width_px, self.height_px) < 16:
            raise InputError(
                f"--width is {self.width_px} and --height {self.height_px}, and both must be "
                "multiples of 16; use 832 and 480."
            )
        if self.num_frames < 1 or self.num_frames % 4 != 1:
            raise InputError(
                f"--frames is {self.num_frames} and must be one more than a multiple of 4; use 13."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipFaces:
    """The faces of a clip's cast, C people, in all T frames."""

    landmarks: NDArray[np.float32]  # (C, T, 5, 2) px of the cut frames; the nearest where unseen
    is_seen: NDArray[np.bool_]  # (C, T)

    def starts(self, num_frames: int) -> NDArray[np.int64]:
        """First frames of the cuts in whose middle somebody is seen; of all if there is none."""
        middle = num_frames // 2
        count = self.is_seen.shape[1] - num_frames + 1
        good = np.nonzero(self.is_seen[:, middle : middle + count].any(0))[0]
        return good if len(good) else np.arange(count)


def read_frames(video: Path, shape: ClipShape) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) of a clip, scaled and cut around the centre to the shape.

    Raises:
        InputError: it is no video, or too small.
    """
    for frame in iter_video(video, _READ).frames:
        yield _cut(frame, shape, video.name)


def faces_of(
    entry: ClipEntry,
    people: Mapping[str, ReferenceCrops],
    backbone: FaceBackbone,
    shape: ClipShape,
    cache: Path,
) -> ClipFaces:
    """Look at every frame of a clip, or read what an earlier call found.

    Raises:
        InputError: the clip cannot be read, or is too short or too small.
    """
    path = _kept(entry, people, shape, cache)
    if path.is_file():
        record = Record(path)
        return ClipFaces(
            landmarks=cast("NDArray[np.float32]", record.row("landmarks", 0)),
            is_seen=cast("NDArray[np.bool_]", record.row("visible", 0)),
        )
    faces = _look(entry, [_vectors(people[name], backbone) for name in entry.cast], backbone, shape)
    arrays = {"landmarks": faces.landmarks[None], "visible": faces.is_seen[None]}
    write_record(path, arrays, {"clip": entry.video.name})
    return faces


def is_known(
    entry: ClipEntry, people: Mapping[str, ReferenceCrops], shape: ClipShape, cache: Path
) -> bool:
    """Whether the clip was looked at already."""
    return _kept(entry, people, shape, cache).is_file()


def unseen(entry: ClipEntry, faces: ClipFaces) -> str | None:
    """Who of the cast is hardly in the clip, as part of a sentence."""
    for name, seen in zip(entry.cast, faces.is_seen, strict=True):
        if seen.mean() < MIN_SEEN:
            where = shown_name(entry.video.name)
            return (
                f"{where} shows the face of {mention(name)} in {seen.sum()} of {len(seen)} frames"
            )
    return None


def _kept(
    entry: ClipEntry, people: Mapping[str, ReferenceCrops], shape: ClipShape, cache: Path
) -> Path:
    """The file for this clip with these photos at this size; anything else has another."""
    stat = entry.video.stat()
    facts = [entry.video.name, stat.st_size, stat.st_mtime_ns, entry.cast, asdict(shape)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name in entry.cast:
        digest.update(people[name].chips.numpy().tobytes())
    return record_path(cache, digest.hexdigest()[:32])


@torch.no_grad()
def _vectors(crops: ReferenceCrops, backbone: FaceBackbone) -> Tensor:
    """(R, E) of one person."""
    return backbone(crops.chips[0]).float()


def _look(
    entry: ClipEntry, galleries: list[Tensor], backbone: FaceBackbone, shape: ClipShape
) -> ClipFaces:
    rows = [find_characters(f, backbone, galleries) for f in read_frames(entry.video, shape)]
    if len(rows) < shape.num_frames:
        raise InputError(
            f"{shown_name(entry.video.name)} has {len(rows)} frames at up to 16 a second and "
            f"training reads {shape.num_frames}; use a longer clip, or fewer --frames."
        )
    is_seen = np.array([[points is not None for points in row] for row in rows]).T
    landmarks = np.zeros((*is_seen.shape, 5, 2), np.float32)
    for frame, row in enumerate(rows):
        for person, points in enumerate(row):
            if points is not None:
                landmarks[person, frame] = points.numpy()
    for own, seen in zip(landmarks, is_seen, strict=True):
        if seen.any():
            own[:] = own[_nearest(seen)]
    return ClipFaces(landmarks=landmarks, is_seen=is_seen)


def _nearest(seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(T,) for each frame the nearest one that is seen."""
    frames = np.nonzero(seen)[0]
    return frames[np.abs(np.arange(len(seen))[:, None] - frames).argmin(1)]


def _cut(frame: NDArray[np.uint8], shape: ClipShape, name: str) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    scale = max(shape.width_px / width, shape.height_px / height)
    if scale > MAX_ENLARGED:
        raise InputError(
            f"{shown_name(name)} is {width}x{height} px, less than two thirds of the "
            f"{shape.width_px}x{shape.height_px} px to train at; use a larger clip, or a smaller "
            "--width and --height."
        )
    x0 = (width - shape.width_px / scale) / 2
    y0 = (height - shape.height_px / scale) / 2
    box = (x0, y0, width - x0, height - y0)
    size = (shape.width_px, shape.height_px)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS, box=box))

"""A user's clips as the training of a Wan adapter draws them. Frames are decoded when drawn."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import PartialState

from idvid.conditioning.prompt import with_names
from idvid.conditioning.wan_tokens import ReferenceCrops, reference_crops
from idvid.errors import InputError
from idvid.training.adapter_data import AdapterClip, pixels
from idvid.training.clip_faces import ClipShape, faces_of, is_known, read_frames, unseen
from idvid.training.clip_folder import read_clip_folder, read_photos

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.random import Generator
    from torch import Tensor

    from idvid.models.face_backbone import FaceBackbone
    from idvid.training.clip_faces import ClipFaces
    from idvid.training.clip_folder import ClipEntry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FolderClips:
    """Draws from a folder that was looked at; see `open_clips`."""

    entries: tuple[ClipEntry, ...]
    faces: tuple[ClipFaces, ...]  # of each entry
    people: Mapping[str, ReferenceCrops]  # by name, (1, R, ...)
    shape: ClipShape
    max_references: int

    def draw(self, rng: Generator) -> AdapterClip:
        """Any stretch of any clip, with some of each person's photos."""
        number = int(rng.integers(len(self.entries)))
        entry, faces, count = self.entries[number], self.faces[number], self.shape.num_frames
        start = int(rng.choice(faces.starts(count)))
        frames = np.stack(list(islice(read_frames(entry.video, self.shape), start, start + count)))
        cut = slice(start, start + count)
        return AdapterClip(
            video=pixels(frames),
            caption=with_names(entry.caption, entry.cast),
            landmarks=torch.from_numpy(faces.landmarks[:, cut].copy()),
            is_visible=torch.from_numpy(faces.is_seen[:, cut].copy()),
            crops=_some([self.people[name] for name in entry.cast], self.max_references, rng),
        )


def open_clips(
    folder: Path, backbone: FaceBackbone, shape: ClipShape, max_references: int, cache: Path
) -> FolderClips:
    """Find everybody in every clip that was not looked at before.

    Args:
        folder: laid out as `clip_folder` says.
        backbone: says which face is whose.
        shape: what is cut out of each clip.
        max_references: photos that a person is shown by in one step.
        cache: a folder that keeps what was found.

    Raises:
        InputError: the folder, a clip or a photo is not as it must be, or several processes train
            and clips are left to look at.
    """
    found = read_clip_folder(folder)
    people = {name: reference_crops([read_photos(name, p)]) for name, p in found.people.items()}
    new = [e for e in found.entries if not is_known(e, people, shape, cache)]
    if new and PartialState().num_processes > 1:  # one looks, many may train
        raise InputError(
            f"{len(new)} of {len(found.entries)} clips were not looked at yet; run 'train data' "
            "with the same arguments in one process first."
        )
    faces: list[ClipFaces] = []
    for entry in found.entries:
        if entry in new:
            sys.stderr.write(f"clips: {len(faces) + 1} of {len(found.entries)}\n")
        faces.append(faces_of(entry, people, backbone, shape, cache))
    _refuse_unseen(found.entries, faces)
    return FolderClips(
        entries=found.entries,
        faces=tuple(faces),
        people=people,
        shape=shape,
        max_references=max_references,
    )


def _refuse_unseen(entries: tuple[ClipEntry, ...], faces: list[ClipFaces]) -> None:
    pairs = zip(entries, faces, strict=True)
    missing = [text for entry, seen in pairs if (text := unseen(entry, seen))]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(entries)} clips hardly show whom their captions mention: "
            f"{missing[0]}, and a quarter is needed; correct the captions, use other photos, or "
            "take such clips out."
        )


def _some(people: list[ReferenceCrops], most: int, rng: Generator) -> ReferenceCrops:
    """Up to `most` of each person's photos, padded to the same number."""
    chosen = [_picked(own.chips.shape[1], most, rng) for own in people]
    width = max(len(picked) for picked in chosen)

    def padded(values: Tensor, picked: list[int]) -> Tensor:
        out = values.new_zeros(width, *values.shape[2:])
        out[: len(picked)] = values[0, picked]
        return out

    pairs = list(zip(people, chosen, strict=True))
    return ReferenceCrops(
        chips=torch.stack([padded(own.chips, picked) for own, picked in pairs]),
        heads=torch.stack([padded(own.heads, picked) for own, picked in pairs]),
        has_reference=torch.stack([padded(own.has_reference, picked) for own, picked in pairs]),
    )


def _picked(count: int, most: int, rng: Generator) -> list[int]:
    return rng.permutation(count)[: rng.integers(1, min(most, count) + 1)].tolist()

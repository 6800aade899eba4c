"""Shards of rendered clips: people, frames, reference portraits, landmarks and captions.

A shard is a function of its split, its number and the data settings: the same ones give the same
bytes. Owns what is drawn; `records` owns the file, `feeder` the processes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from idvid.people import (
    build_figure,
    build_person,
    dress,
    render_clip,
    render_face_series,
    render_portrait,
    trace_expressions,
    trace_landmarks,
)
from idvid.training.casting import captions_of, plan_clip, plan_photos
from idvid.training.records import record_path, write_record
from idvid.training.seeding import MAX_PEOPLE, scene_seed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from idvid.people import Person, Portrait
    from idvid.people.seeds import Split
    from idvid.training.casting import ClipPlan, PhotoPlan
    from idvid.training.settings import DataSettings

# Noted in every shard. 1: three people at most and nothing but acting; 2: without expressions, and
# skin as the seeds have it.
DATA_VERSION = 3
# The renderer counts pixels from their corner, aligner and anchors from their centre.
TO_PIXEL_CENTRES = np.float32(-0.5)
TRACE_FPS = 12.0
_TIMINGS = ((16, 12.0), (8, 6.0))  # frames and fps of even and odd shards
FACE_TIMING = (3, 0.75)  # a few far apart: for the backbone people count, not frames
FACE_PEOPLE, FACE_REFERENCES = 3, 4
# Numbers of face clips, whose people are in no other clip.
_FIRST_FACE_CLIP: dict[Split, int] = {"train": 150_000, "validation": 10_000}
SERIES_PICTURES, SERIES_PX = 12, 128
CUTOUT_PHOTOS = 4
# Their people are in nothing else.
_FIRST_SERIES: dict[Split, int] = {"train": 180_000, "validation": 10_500}
_FIRST_CUTOUTS: dict[Split, int] = {"train": 190_000, "validation": 11_000}
_MANY_REFERENCES, _MANY_EVERY = 8, 8  # so many photos in two of every so many shards


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """One shard to make."""

    split: Split
    number: int

    @property
    def name(self) -> str:
        """The shard's name on disk."""
        return f"{self.split}-{self.number:05d}"


def write_clips(folder: Path, job: ShardJob, data: DataSettings) -> None:
    """Render a shard of clips and put it into the folder."""
    frames, fps = _TIMINGS[job.number % 2]
    first = job.number * data.clips_per_shard
    num_references = data.num_references
    if job.number % _MANY_EVERY >= _MANY_EVERY - 2:
        num_references = max(num_references, _MANY_REFERENCES)
    clips = [
        _clip(plan_clip(job.split, first + index), (frames, fps), num_references, data)
        for index in range(data.clips_per_shard)
    ]
    _write(record_path(folder, job.name), clips, fps)


def write_faces(folder: Path, job: ShardJob, data: DataSettings) -> None:
    """Render a shard of very short clips, each full of people, and put it into the folder."""
    first = _FIRST_FACE_CLIP[job.split] + job.number * data.clips_per_shard
    plans = [
        plan_clip(job.split, first + index, FACE_PEOPLE) for index in range(data.clips_per_shard)
    ]
    clips = [_clip(plan, FACE_TIMING, FACE_REFERENCES, data) for plan in plans]
    _write(record_path(folder / "faces", job.name), clips, FACE_TIMING[1])


def write_traces(folder: Path, job: ShardJob, data: DataSettings) -> None:
    """Trace the landmarks of a shard of scenes, without rendering, and put it into the folder."""
    first = job.number * data.traces_per_shard
    traces = [
        _trace(plan_clip(job.split, first + index), data) for index in range(data.traces_per_shard)
    ]
    _write(record_path(folder / "traces", job.name), traces, TRACE_FPS)


def write_series(folder: Path, job: ShardJob, data: DataSettings) -> None:
    """Render a shard of people, each in many poses and expressions, and put it into the folder."""
    first = _FIRST_SERIES[job.split] + job.number * data.clips_per_shard
    rows = [_series(plan_clip(job.split, first + n, 1)) for n in range(data.clips_per_shard)]
    _write_pictures(record_path(folder / "series", job.name), rows)


def write_cutouts(folder: Path, job: ShardJob, data: DataSettings) -> None:
    """Render a shard of photos of one person each, with their mattes, and put it into the folder."""
    first = _FIRST_CUTOUTS[job.split] + job.number * data.clips_per_shard
    rows = [
        _cutouts(plan_clip(job.split, first + n, 1), data.reference_px)
        for n in range(data.clips_per_shard)
    ]
    _write_pictures(record_path(folder / "cutouts", job.name), rows)


def _write(path: Path, rows: list[dict[str, Any]], fps: float) -> None:
    captions = json.dumps([row.pop("captions") for row in rows])
    _write_pictures(path, rows, fps=str(fps), captions=captions)


def _write_pictures(path: Path, rows: list[dict[str, Any]], **notes: str) -> None:
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    write_record(path, arrays, {**notes, "data_version": str(DATA_VERSION)})


def _clip(
    plan: ClipPlan, timing: tuple[int, float], num_references: int, data: DataSettings
) -> dict[str, Any]:
    """One clip: arrays padded to MAX_PEOPLE, and its captions."""
    people = [build_person(spec) for spec in plan.specs]
    scene = plan.scene(*timing)
    clip = render_clip(scene, _dressed(plan, people), data.width_px, data.height_px)
    portraits = [
        _portraits(people[place], plan_photos(plan, place, num_references), data.reference_px)
        for place in plan.places
    ]
    images = np.stack([[portrait.image for portrait in row] for row in portraits])
    points = np.stack([[portrait.landmarks for portrait in row] for row in portraits])
    return {
        "frames": clip.frames,  # (T, H, W, 3) uint8
        "landmarks": _padded(clip.landmarks[plan.places] + TO_PIXEL_CENTRES),  # (C, T, 5, 2) px
        "visible": _padded(clip.visible[plan.places]),  # (C, T) bool
        "expression": _padded(trace_expressions(scene)[plan.places]),  # (C, T, E)
        "references": _padded(images),  # (C, R, S, S, 3) uint8
        "reference_landmarks": _padded(points + TO_PIXEL_CENTRES),  # (C, R, 5, 2) px
        "is_person": np.arange(MAX_PEOPLE) < len(people),  # (C,)
        "captions": captions_of(plan, scene),
    }


def _series(plan: ClipPlan) -> dict[str, NDArray]:
    """One person in one light: arrays over pictures."""
    seed = scene_seed(plan.split, plan.number)
    series = render_face_series(build_person(plan.specs[0]), seed, SERIES_PICTURES, SERIES_PX)
    return {
        "frames": series.frames,  # (N, S, S, 3) uint8
        "mattes": _eight_bits(series.mattes),  # (N, S, S)
        "landmarks": series.landmarks + TO_PIXEL_CENTRES,  # (N, 5, 2) px
        "expression": series.expression,  # (N, E)
    }


def _cutouts(plan: ClipPlan, size_px: int) -> dict[str, NDArray]:
    """One person's photos: arrays over photos."""
    person = build_person(plan.specs[0])
    portraits = _portraits(person, plan_photos(plan, 0, CUTOUT_PHOTOS), size_px)
    return {
        "frames": np.stack([portrait.image for portrait in portraits]),  # (N, S, S, 3) uint8
        "mattes": _eight_bits(np.stack([p.matte for p in portraits])),  # (N, S, S)
        "landmarks": np.stack([p.landmarks for p in portraits]) + TO_PIXEL_CENTRES,  # (N, 5, 2) px
    }


def _eight_bits(shares: NDArray) -> NDArray:
    return (shares * 255).round().astype(np.uint8)


def _dressed(plan: ClipPlan, people: Sequence[Person]) -> list[Person]:
    """The people in the clothes that they wear in the clip."""
    return [
        person if worn is None else dress(person, worn)
        for person, worn in zip(people, plan.worn, strict=True)
    ]


def _portraits(person: Person, photos: Sequence[PhotoPlan], size_px: int) -> list[Portrait]:
    return [
        render_portrait(
            person if photo.clothes is None else dress(person, photo.clothes),
            photo.seed,
            size_px,
            varied=photo.varied,
        )
        for photo in photos
    ]


def _trace(plan: ClipPlan, data: DataSettings) -> dict[str, Any]:
    scene = plan.scene(data.trace_frames, TRACE_FPS)
    people = [build_figure(spec) for spec in plan.specs]
    landmarks = trace_landmarks(scene, people, data.width_px, data.height_px)
    return {
        "landmarks": _padded(landmarks[plan.places] / data.height_px),  # (C, T, 5, 2) heights
        "expression": _padded(trace_expressions(scene)[plan.places]),  # (C, T, E)
        "is_person": np.arange(MAX_PEOPLE) < len(people),
        "captions": captions_of(plan, scene),
    }


def _padded(array: NDArray) -> NDArray:
    """Zeros in place of the people that a clip lacks: the first axis becomes MAX_PEOPLE."""
    missing = MAX_PEOPLE - len(array)
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])

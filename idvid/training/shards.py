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
    build_person,
    render_clip,
    render_portrait,
    sample_person,
    sample_scene,
    trace_landmarks,
)
from idvid.people.captions import caption
from idvid.training.records import record_path, write_record
from idvid.training.seeding import MAX_PEOPLE, detail_seed, person_seeds, scene_seed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from idvid.people import Person, Portrait, SceneSpec
    from idvid.people.seeds import Split
    from idvid.training.settings import DataSettings

HANDLES = ("<c1>", "<c2>", "<c3>", "<c4>")  # what captions call character c
PEOPLE_SHARES = (0.3, 0.55, 0.1, 0.05)  # clips with 1, 2, 3 and 4 people
NUM_CAPTIONS = 3
# The renderer counts pixels from their corner, aligner and anchors from their centre.
TO_PIXEL_CENTRES = np.float32(-0.5)
TRACE_FPS = 12.0
_TIMINGS = ((16, 12.0), (8, 6.0))  # frames and fps of even and odd shards
_PURPOSE_PEOPLE = 771  # random stream of how many people a clip has


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
    clips = [
        _clip(job.split, first + index, (frames, fps), data)
        for index in range(data.clips_per_shard)
    ]
    captions = json.dumps([clip.pop("captions") for clip in clips])
    arrays = {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}
    notes = {"fps": str(fps), "captions": captions}
    write_record(record_path(folder, job.name), arrays, notes)


def write_traces(folder: Path, job: ShardJob, data: DataSettings) -> None:
    """Trace the landmarks of a shard of scenes, without rendering, and put it into the folder."""
    first = job.number * data.traces_per_shard
    traces = [_trace(job.split, first + index, data) for index in range(data.traces_per_shard)]
    captions = json.dumps([trace.pop("captions") for trace in traces])
    arrays = {name: np.stack([trace[name] for trace in traces]) for name in traces[0]}
    notes = {"fps": str(TRACE_FPS), "captions": captions}
    write_record(record_path(folder / "traces", job.name), arrays, notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cast:
    """Who plays in a clip: character c stands at place `places[c]`, counted from the left."""

    split: Split
    number: int  # of the clip
    people: list[Person]  # by place
    places: NDArray[np.int64]  # (C,) a permutation, so that a name says nothing of a place

    @property
    def names_by_place(self) -> list[str]:
        return [HANDLES[character] for character in np.argsort(self.places)]


def _cast(split: Split, number: int) -> _Cast:
    rng = np.random.default_rng([scene_seed(split, number), _PURPOSE_PEOPLE])
    count = int(rng.choice(len(PEOPLE_SHARES), p=PEOPLE_SHARES)) + 1
    people = [build_person(sample_person(seed)) for seed in person_seeds(split, number, count)]
    return _Cast(split=split, number=number, people=people, places=rng.permutation(count))


def _clip(
    split: Split, number: int, timing: tuple[int, float], data: DataSettings
) -> dict[str, Any]:
    """One clip: arrays padded to MAX_PEOPLE, and its captions."""
    cast = _cast(split, number)
    scene = sample_scene(scene_seed(split, number), len(cast.people), *timing)
    clip = render_clip(scene, cast.people, data.width_px, data.height_px)
    portraits = [_portraits(cast, place, data) for place in cast.places]
    images = np.stack([[portrait.image for portrait in row] for row in portraits])
    points = np.stack([[portrait.landmarks for portrait in row] for row in portraits])
    return {
        "frames": clip.frames,  # (T, H, W, 3) uint8
        "landmarks": _padded(clip.landmarks[cast.places] + TO_PIXEL_CENTRES),  # (C, T, 5, 2) px
        "visible": _padded(clip.visible[cast.places]),  # (C, T) bool
        "references": _padded(images),  # (C, R, S, S, 3) uint8
        "reference_landmarks": _padded(points + TO_PIXEL_CENTRES),  # (C, R, 5, 2) px
        "is_person": np.arange(MAX_PEOPLE) < len(cast.people),  # (C,)
        "captions": _captions(scene, cast),
    }


def _portraits(cast: _Cast, place: int, data: DataSettings) -> list[Portrait]:
    first = (cast.number * MAX_PEOPLE + place) * data.num_references
    return [
        render_portrait(cast.people[place], detail_seed(cast.split, first + k), data.reference_px)
        for k in range(data.num_references)
    ]


def _trace(split: Split, number: int, data: DataSettings) -> dict[str, Any]:
    cast = _cast(split, number)
    scene = sample_scene(scene_seed(split, number), len(cast.people), data.trace_frames, TRACE_FPS)
    landmarks = trace_landmarks(scene, cast.people, data.width_px, data.height_px)
    return {
        "landmarks": _padded(landmarks[cast.places] / data.height_px),  # (C, T, 5, 2) heights
        "is_person": np.arange(MAX_PEOPLE) < len(cast.people),
        "captions": _captions(scene, cast),
    }


def _captions(scene: SceneSpec, cast: _Cast) -> list[str]:
    specs, first = [person.spec for person in cast.people], cast.number * NUM_CAPTIONS
    return [
        caption(scene, specs, cast.names_by_place, detail_seed(cast.split, first + k))
        for k in range(NUM_CAPTIONS)
    ]


def _padded(array: NDArray) -> NDArray:
    """Zeros in place of the people that a clip lacks: the first axis becomes MAX_PEOPLE."""
    missing = MAX_PEOPLE - len(array)
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])

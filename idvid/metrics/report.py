"""The drift report: measured from frames and references only, as frames arrive, and written down.

Owns the meter and the report's JSON and CSV. The judge never sees how the video was made, and the
meter keeps embeddings and numbers, never frames, so its memory does not grow with the pictures.
"""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from idvid.errors import InputError
from idvid.metrics import separation
from idvid.metrics.expression import expression_range, looks, turns
from idvid.metrics.identity import drift_15, drift_slope, id_sim, mean_found, presence, temporal
from idvid.metrics.places import Sighting, place_characters
from idvid.metrics.tracklets import TrackletFinder
from idvid.types import CharacterDrift, DriftReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from idvid.faces.embed import FaceEncoder
    from idvid.faces.quality import ReferenceFace
    from idvid.faces.types import FaceObservation
    from idvid.types import Clip

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would execute

References = dict[str, tuple["ReferenceFace", ...]]
Points = dict[str, tuple[tuple[float, float | None], ...]]


class DriftMeter:
    """Measures a clip while it arrives. Use one meter per clip and thread.

    Args:
        references: the usable reference faces of each character, in the characters' order.
        fps: frames per second of the clip.
        encoder: who judges; the bundled judge if None.

    Raises:
        InputError: no character, a character without a reference, or an impossible fps.
        ModelError: the judge's weights are missing or damaged.
    """

    def __init__(
        self,
        references: Mapping[str, tuple[ReferenceFace, ...]],
        fps: float,
        encoder: FaceEncoder | None = None,
    ) -> None:
        from idvid.faces.embed import load_judge
        from idvid.faces.track import PeopleFinder

        _check(references, fps)
        self._fps = float(fps)
        self._encoder = encoder if encoder is not None else load_judge()
        self._names = tuple(references)
        self._galleries = tuple(self._gallery(faces) for faces in references.values())
        self._finder = PeopleFinder(self._encoder)
        self._tracklets = TrackletFinder(self._fps)
        self._sightings: list[Sighting] = []
        self._num_frames = 0

    def add(self, frames: NDArray[np.uint8]) -> Points:
        """Measure the next frames (T, H, W, 3) RGB.

        Returns:
            For each character the new points (time_s, id_sim or None where the face is missing).
            They rest on what was seen so far; if a later frame shows that a face belonged to
            another character, `report` says so and has the last word.
        """
        first = self._num_frames
        self._see(frames)
        similarity_TCC, _, _ = self._placed()
        return {
            name: self._series(similarity_TCC[:, c, c], first) for c, name in enumerate(self._names)
        }

    def report(self) -> DriftReport:
        """The verdict on all frames so far; may be asked for at any time."""
        similarity_TCC, placed_TC, faces_T = self._placed()
        return DriftReport(
            fps=self._fps,
            frames=self._num_frames,
            judge_name=self._encoder.name,
            judge_sha256=self._encoder.sha256,
            occm=separation.occm(faces_T, len(self._names)),
            characters=tuple(
                self._character(c, similarity_TCC[:, c], placed_TC[:, c])
                for c in range(len(self._names))
            ),
        )

    def sightings(self) -> tuple[tuple[Sighting | None, ...], ...]:
        """Per character and frame (C, T), the face at the character's place; None where missing."""
        _, placed_TC, _ = self._placed()
        return tuple(
            tuple(self._sightings[i] if i >= 0 else None for i in placed_TC[:, c].tolist())
            for c in range(len(self._names))
        )

    def _gallery(self, references: tuple[ReferenceFace, ...]) -> NDArray[np.float32]:
        """Embeddings (R, E) by this meter's own encoder, whoever checked the references."""
        images = [reference.image for reference in references]
        faces = [self._encoder.refind(r.image, r.face) for r in references]
        return self._encoder.embed(images, faces)

    def _see(self, frames: NDArray[np.uint8]) -> None:
        """Reduce some frames to the sightings in them."""
        seen = self._finder.add(frames)
        for frame, observations in zip(frames, seen, strict=True):
            tracklets = self._tracklets.follow(frame, observations)
            self._sightings += self._reduced(frame, observations, tracklets)
            self._num_frames += 1

    def _reduced(
        self,
        frame: NDArray[np.uint8],
        observations: Sequence[FaceObservation],
        tracklets: Sequence[int],
    ) -> list[Sighting]:
        if not observations:
            return []
        faces = [observation.face for observation in observations]
        embedding_FE = np.stack([observation.embedding for observation in observations])
        similarity_FC = np.stack([id_sim(embedding_FE, g) for g in self._galleries], axis=1)
        look_FP, turn_FQ = looks([frame] * len(faces), faces), turns(faces)
        return [
            Sighting(
                frame=self._num_frames,
                tracklet=tracklet,
                similarity=similarity_FC[i],
                embedding=embedding_FE[i],
                look=look_FP[i],
                turn=turn_FQ[i],
                landmarks=faces[i].landmarks,
            )
            for i, tracklet in enumerate(tracklets)
        ]

    def _placed(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
        """Similarity (T, C, C) of the face at each place to everyone, its index (T, C), faces (T,)."""
        count = len(self._names)
        placed_TC, faces_T = place_characters(self._sightings, self._num_frames, count, self._fps)
        known = np.array(
            [sighting.similarity for sighting in self._sightings] or np.empty((0, count))
        )
        missing = np.full((1, count), np.nan)
        return np.concatenate([known, missing])[placed_TC], placed_TC, faces_T

    def _series(
        self, id_sim_T: NDArray[np.float64], first: int = 0
    ) -> tuple[tuple[float, float | None], ...]:
        return tuple(
            (t / self._fps, None if np.isnan(value) else float(value))
            for t, value in enumerate(id_sim_T[first:].tolist(), first)
        )

    def _character(
        self, character: int, similarity_TC: NDArray[np.float64], placed_T: NDArray[np.intp]
    ) -> CharacterDrift:
        id_sim_T = similarity_TC[:, character]
        found = [self._sightings[i] for i in placed_T if i >= 0]
        embedding_TE = np.full((len(placed_T), self._galleries[0].shape[1]), np.nan)
        if found:
            embedding_TE[placed_T >= 0] = [sighting.embedding for sighting in found]
        return CharacterDrift(
            name=self._names[character],
            presence=presence(id_sim_T),
            id_sim_mean=mean_found(id_sim_T),
            drift_15=drift_15(id_sim_T),
            drift_slope=drift_slope(id_sim_T, self._fps),
            temporal=temporal(embedding_TE),
            id_margin=separation.id_margin(similarity_TC, character),
            swap_rate=separation.swap_rate(similarity_TC, character),
            bleed=separation.bleed(similarity_TC, character, self._galleries),
            expression_range=expression_range(
                np.array([sighting.look for sighting in found]),
                np.array([sighting.turn for sighting in found]),
            ),
            ceiling=separation.ceiling(self._galleries[character]),
            floor=separation.floor(self._galleries, character),
            series=self._series(id_sim_T),
        )


def measure_clip(
    clip: Clip,
    references: Mapping[str, tuple[ReferenceFace, ...]],
    encoder: FaceEncoder | None = None,
) -> DriftReport:
    """The drift report of a whole clip; see `DriftMeter` for arguments and errors."""
    meter = DriftMeter(references, clip.fps, encoder)
    meter.add(clip.frames)
    return meter.report()


def to_dict(report: DriftReport) -> dict[str, Any]:
    """The report as plain JSON values, free of NaN; its shape is the public `report.json`."""
    characters = [
        {field.name: getattr(drift, field.name) for field in fields(CharacterDrift)}
        | {"series": [[time_s, value] for time_s, value in drift.series]}
        for drift in report.characters
    ]
    return {
        "fps": report.fps,
        "frames": report.frames,
        "judge": {"name": report.judge_name, "sha256": report.judge_sha256},
        "occm": report.occm,
        "characters": characters,
    }


def from_dict(values: Mapping[str, Any]) -> DriftReport:
    """The report that `to_dict` wrote.

    Raises:
        InputError: a field is missing, unknown or of another shape.
    """
    try:
        characters = tuple(
            CharacterDrift(**{**drift, "series": tuple((t, value) for t, value in drift["series"])})
            for drift in values["characters"]
        )
        return DriftReport(
            fps=values["fps"],
            frames=values["frames"],
            judge_name=values["judge"]["name"],
            judge_sha256=values["judge"]["sha256"],
            occm=values["occm"],
            characters=characters,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("This is not a drift report of idvid; choose a report.json.") from error


def write_json(report: DriftReport, path: Path) -> None:
    """Write `report.json`."""
    text = json.dumps(to_dict(report), ensure_ascii=False, allow_nan=False, indent=1)
    path.write_text(text + "\n", "utf-8")


def write_csv(report: DriftReport, path: Path) -> None:
    """Write one row per frame and character: frame, time_s, character, id_sim (empty: missing)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "time_s", "character", "id_sim"])
        for drift in report.characters:
            name = f"'{drift.name}" if drift.name.startswith(_FORMULA_STARTS) else drift.name
            for frame, (time_s, value) in enumerate(drift.series):
                shown = "" if value is None else f"{value:.6f}"
                writer.writerow([frame, f"{time_s:.6f}", name, shown])


def _check(references: Mapping[str, tuple[ReferenceFace, ...]], fps: float) -> None:
    if not references:
        raise InputError("There is no character to measure; add at least one with a photo.")
    bare = [name for name, faces in references.items() if not faces]
    if bare:
        raise InputError(f"'{bare[0]}' has no usable reference photo; add a clear frontal one.")
    if not 0 < fps < 1000:
        raise InputError(f"The video claims {fps:g} frames per second; we need 1 to 1000.")

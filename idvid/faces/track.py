"""Faces followed through the frames of a video. Knows places and vectors, no names.

Detection finds a face of at least `FRAME_FACE_PX`; a doubtful finding counts only where a face was
just before. Frames may come in pieces: `PeopleFinder` keeps what it needs of the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from idvid.faces.detect import find_in_each
from idvid.faces.types import FaceObservation, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.faces.embed import FaceEncoder
    from idvid.faces.types import Face

    Observations = Sequence[Sequence[FaceObservation]]

FRAME_FACE_PX = 28.0
_SURE_SCORE = 0.0
_DOUBTFUL_SCORE = -0.4  # enough where a track already runs
_MIN_OVERLAP = 0.25  # intersection over union of a face's boxes in neighbouring frames
_MAX_GAP_FRAMES = 4  # a track that long unseen has ended
_EMBEDDED_FRAMES = 16  # frames whose faces are embedded in one go


@dataclass(slots=True)
class _LiveTrack:
    number: int
    box: NDArray[np.float32]  # (4,) px, where the face was last
    last_frame: int


class PeopleFinder:
    """Finds, follows and embeds the faces of one video, given piece by piece in order.

    One finder serves one video and one thread.
    """

    def __init__(self, encoder: FaceEncoder, min_face_px: float = FRAME_FACE_PX) -> None:
        self._encoder = encoder
        self._min_face_px = min_face_px
        self._live: list[_LiveTrack] = []
        self._num_tracks = 0
        self._num_frames = 0

    def add(self, frames: NDArray[np.uint8]) -> list[tuple[FaceObservation, ...]]:
        """The faces of the next frames (T, H, W, 3) RGB, per frame, largest first."""
        found: list[tuple[FaceObservation, ...]] = []
        for start in range(0, len(frames), _EMBEDDED_FRAMES):
            found += self._add_batch(frames[start : start + _EMBEDDED_FRAMES])
        return found

    def _add_batch(self, frames: NDArray[np.uint8]) -> list[tuple[FaceObservation, ...]]:
        found = find_in_each(self._detect, list(frames))
        followed = [self._follow(faces) for faces in found]
        owners = [frame for frame, faces in zip(frames, followed, strict=True) for _ in faces]
        flat = [face for faces in followed for face, _ in faces]
        vectors = iter(self._encoder.embed(owners, flat))
        return [
            tuple(
                FaceObservation(face=face, embedding=next(vectors), track=track)
                for face, track in faces
            )
            for faces in followed
        ]

    def _detect(self, frame: NDArray[np.uint8]) -> tuple[Face, ...]:
        return self._encoder.detect(frame, self._min_face_px, _DOUBTFUL_SCORE)

    def _follow(self, faces: Sequence[Face]) -> list[tuple[Face, int]]:
        """The faces of the next frame, each with the number of its track."""
        now = self._num_frames
        self._num_frames += 1
        self._live = [t for t in self._live if now - t.last_frame <= _MAX_GAP_FRAMES]
        continued = _continue_tracks(self._live, faces)
        result: list[tuple[Face, int]] = []
        for index, face in enumerate(faces):
            track = continued.get(index)
            if track is None and face.score < _SURE_SCORE:
                continue
            if track is None:
                track = self._start_track()
            track.box, track.last_frame = face.box, now
            result.append((face, track.number))
        return result

    def _start_track(self) -> _LiveTrack:
        track = _LiveTrack(self._num_tracks, np.zeros(4, np.float32), 0)
        self._num_tracks += 1
        self._live.append(track)
        return track


def find_people(
    frames: NDArray[np.uint8], encoder: FaceEncoder, min_face_px: float = FRAME_FACE_PX
) -> list[tuple[FaceObservation, ...]]:
    """The faces of a whole video (T, H, W, 3) RGB, per frame, largest first."""
    return PeopleFinder(encoder, min_face_px).add(frames)


def tracks_of(observations: Observations) -> tuple[Track, ...]:
    """The tracks in what a finder returned, in order of appearance."""
    places: dict[int, list[tuple[int, int]]] = {}
    for frame, faces in enumerate(observations):
        for index, face in enumerate(faces):
            places.setdefault(face.track, []).append((frame, index))
    return tuple(
        Track(number=number, frames=tuple(f for f, _ in seen), indices=tuple(i for _, i in seen))
        for number, seen in sorted(places.items())
    )


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes (4,)."""
    corner0, corner1 = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.clip(corner1 - corner0, 0, None)))
    areas = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return shared / max(areas - shared, 1e-6)


def _continue_tracks(live: list[_LiveTrack], faces: Sequence[Face]) -> dict[int, _LiveTrack]:
    """Which live track each face continues: the pairing with the largest overlap in all."""
    if not live or not faces:
        return {}
    overlaps = np.array([[overlap(track.box, face.box) for face in faces] for track in live])
    rows, columns = linear_sum_assignment(-overlaps)
    return {
        int(column): live[row]
        for row, column in zip(rows, columns, strict=True)
        if overlaps[row, column] >= _MIN_OVERLAP
    }

"""Which faces of a clip are at one place: by position alone, never by looks.

Following looks would follow a character through a swap and so hide it. This takes the tracks of
`idvid.faces.track` (overlapping boxes) and mends them for judging: where position cannot tell faces
apart (they meet, or the picture cuts) a track is split, so that `idvid.metrics.places` decides anew who
it is; where a face was lost for a moment and comes back at its place, it is joined. Knows no
identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.faces.types import Face, FaceObservation

MAX_GAP_S = 1.0  # a face unseen for longer comes back as a new tracklet
_REACH = 0.7  # how far, in face widths, a lost face may come back from where it was
_SIZE_RATIO = 1.5  # how much it may have grown or shrunk meanwhile
_MEETING, _PARTING = 1.0, 1.3  # distance of two faces in widths: they meet below, part above
_THUMB_CELLS = 16  # per axis
_CELL_CHANGE = 20.0  # of 255: a thumbnail cell has changed
_CUT_SHARE = 0.75  # of the cells; people who move or are exchanged leave the background


@dataclass(slots=True)
class _Place:
    track: int
    tracklet: int
    face: Face  # when last seen
    frame: int  # last seen
    is_meeting: bool  # another face was closer than a face width when last seen


class TrackletFinder:
    """Numbers the faces of one video, frame after frame. One per thread; memory stays flat."""

    def __init__(self, fps: float) -> None:
        self._max_gap = max(1, round(MAX_GAP_S * fps))
        self._places: list[_Place] = []
        self._thumb: NDArray[np.float64] | None = None
        self._frame = -1
        self._next = 0

    def follow(
        self, picture: NDArray[np.uint8], seen: Sequence[FaceObservation]
    ) -> tuple[int, ...]:
        """The tracklet number of each face of the next frame; `picture` is (H, W, 3) RGB."""
        self._frame += 1
        thumb = thumbnail(picture)
        if self._thumb is not None and is_cut(self._thumb, thumb):
            self._places = []
        self._thumb = thumb
        horizon = self._frame - self._max_gap
        self._places = [place for place in self._places if place.frame >= horizon]
        places = [self._known(observation) for observation in seen]
        places = [
            place or self._rejoined(observation) or self._opened(observation)
            for place, observation in zip(places, seen, strict=True)
        ]
        for place in places:
            self._split_if_met_or_parted(place)
        return tuple(place.tracklet for place in places)

    def _known(self, seen: FaceObservation) -> _Place | None:
        """The place that this face's track is already at."""
        for place in self._places:
            if place.track == seen.track:
                place.face, place.frame = seen.face, self._frame
                return place
        return None

    def _rejoined(self, seen: FaceObservation) -> _Place | None:
        """The place where this face was before it was lost, if that is beyond doubt."""
        lost = [
            place
            for place in self._places
            if place.frame < self._frame
            and not place.is_meeting
            and _distance(place.face, seen.face) < _REACH
            and 1 / _SIZE_RATIO < place.face.width_px / seen.face.width_px < _SIZE_RATIO
        ]
        if len(lost) != 1:
            return None
        (place,) = lost
        place.track, place.face, place.frame = seen.track, seen.face, self._frame
        return place

    def _opened(self, seen: FaceObservation) -> _Place:
        place = _Place(seen.track, self._number(), seen.face, self._frame, is_meeting=False)
        place.is_meeting = self._is_meeting(place)
        self._places.append(place)
        return place

    def _split_if_met_or_parted(self, place: _Place) -> None:
        """While faces meet every frame is a tracklet of its own: only likeness can tell them."""
        was_meeting, place.is_meeting = place.is_meeting, self._is_meeting(place)
        if was_meeting or place.is_meeting:
            place.tracklet = self._number()

    def _is_meeting(self, place: _Place) -> bool:
        limit = _PARTING if place.is_meeting else _MEETING
        return any(
            other is not place and _distance(place.face, other.face) < limit
            for other in self._places
        )

    def _number(self) -> int:
        self._next += 1
        return self._next - 1


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colours (16, 16, 3) of a picture (H, W, 3), in 0..255."""
    size = (_THUMB_CELLS, _THUMB_CELLS)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX), np.float64)


def is_cut(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether nearly the whole picture changed between two thumbnails."""
    changed = np.abs(after - before).max(axis=-1) > _CELL_CHANGE
    return bool(changed.mean() > _CUT_SHARE)


def _distance(a: Face, b: Face) -> float:
    """Distance of two faces' centres in their mean width."""
    gap = (a.box[:2] + a.box[2:] - b.box[:2] - b.box[2:]) / 2
    return float(np.linalg.norm(gap)) / ((a.width_px + b.width_px) / 2)

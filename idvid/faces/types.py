"""What the face parts hand to each other. Pixels are RGB; coordinates are pixel centres, (x, y)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One face found in a picture.

    Landmarks are in dlib's order, left and right as seen in the picture: outer then inner corner
    of the right eye, outer then inner corner of the left eye, base of the nose.
    """

    box: NDArray[np.float32]  # (4,) x0, y0, x1, y1 px, brows to chin; may reach past the picture
    landmarks: NDArray[np.float32]  # (5, 2) px
    score: float  # detector's margin: sure from 0 on (dlib's reach 3, packs' 1), doubtful below

    @property
    def width_px(self) -> float:
        """Width of the box."""
        return float(self.box[2] - self.box[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceObservation:
    """A face found in a video frame, with who it looks like."""

    face: Face
    embedding: NDArray[np.float32]  # (E,) unit norm, of the encoder that judges
    track: int  # faces of one track are taken for one person's face moving through the clip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """One face followed through the frames."""

    number: int
    frames: tuple[int, ...]  # ascending frame indices
    indices: tuple[int, ...]  # index of the face among those of that frame

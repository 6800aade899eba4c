"""A face pack in insightface's format as a judge.

Owns what a pack is asked and in which order, colour and scale. How its files are found and opened
is `idvid.faces.pack_files`'s; which packs there are is `idvid.faces.pack_choice`'s.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import torch

from idvid.faces.align import arcface_chips, dlib_landmarks
from idvid.faces.detect import MIN_FACE_PX, detect_faces
from idvid.faces.embed import combined_sha256, cut_faces
from idvid.faces.track import overlap
from idvid.faces.types import Face

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.faces.pack_files import PackNetworks

_BATCH = 32
_SAME_FACE = 0.25  # intersection over union of two detectors' boxes of one face
_MIN_PROBABILITY = 0.05


class InsightFacePack:
    """The networks of a pack as a judge: vectors of unit norm, faces with our landmarks.

    ArcFace vectors are not centred: their mean over people is near zero, and no pack tells it.
    Safe to share between threads.
    """

    def __init__(self, networks: PackNetworks, name: str) -> None:
        self.name = name
        self.file_hashes = networks.hashes()
        self._recogniser, self._detector = networks.recogniser, networks.detector
        self._vector = networks.vector
        self._lock = threading.Lock()

    @property
    def sha256(self) -> str:
        """Hash of the recogniser's file, or of detector and recogniser if both come with it."""
        if self._detector is None:
            return next(iter(self.file_hashes.values()))
        return combined_sha256(self.file_hashes)

    def detect(
        self,
        image: NDArray[np.uint8],
        min_face_px: float = MIN_FACE_PX,
        min_score: float = 0.0,
    ) -> tuple[Face, ...]:
        """Faces of a picture (H, W, 3), largest first, by the pack's detector if it has one.

        SCRFD gives a probability p; its margin here is 2p - 1, so that insightface's threshold of
        0.5 is where a face is sure.
        """
        if self._detector is None:
            return detect_faces(image, min_face_px, min_score)
        threshold = max((1 + min_score) / 2, _MIN_PROBABILITY)
        bgr = np.ascontiguousarray(image[..., ::-1])
        with self._lock:
            boxes, points = self._detector.detect(bgr, det_thresh=threshold)
        faces = [_face(box, five) for box, five in zip(boxes, points, strict=True)]
        large = [face for face in faces if face.width_px >= min_face_px]
        return tuple(sorted(large, key=lambda face: -face.width_px))

    def refind(self, image: NDArray[np.uint8], face: Face) -> Face:
        """A face that another detector found, as the pack's own sees it."""
        if self._detector is None:
            return face
        found = self.detect(image, face.width_px / 3)
        best = max(found, key=lambda other: overlap(other.box, face.box), default=face)
        return best if overlap(best.box, face.box) >= _SAME_FACE else face

    def embed(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Face]
    ) -> NDArray[np.float32]:
        """Vectors (N, E) of `faces[i]` in `images[i]`, unit norm."""
        if not faces:
            return np.zeros((0, self._vector), np.float32)
        return self.embed_chips(cut_faces(images, faces, arcface_chips))

    def embed_chips(self, chips: Tensor) -> NDArray[np.float32]:
        """Chips (N, 3, 112, 112) RGB in [0, 1] -> (N, E), unit norm."""
        pixels = (chips * 255).round().to(torch.uint8)
        bgr = list(pixels.permute(0, 2, 3, 1).flip(-1).numpy())
        fixed = self._recogniser.input_shape[0]
        size = fixed if isinstance(fixed, int) else _BATCH
        with self._lock:
            batches = [
                self._recogniser.get_feat(bgr[i : i + size]) for i in range(0, len(bgr), size)
            ]
        vectors = np.concatenate(batches)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(norms, 1e-12)).astype(np.float32)


def _face(box: NDArray[np.float32], five: NDArray[np.float32]) -> Face:
    """A finding of SCRFD: x0, y0, x1, y1, probability; five points in ArcFace's order."""
    points = torch.from_numpy(np.ascontiguousarray(five, np.float32))[None]
    return Face(
        box=box[:4].astype(np.float32),
        landmarks=dlib_landmarks(points)[0].numpy(),
        score=2 * float(box[4]) - 1,
    )

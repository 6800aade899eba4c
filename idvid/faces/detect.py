"""Faces in a picture: dlib's HOG detector and its five-point predictor. Knows no identity.

dlib's detector sees faces of 80 px and more, so pictures are enlarged until the smallest face that
is asked for has that size, and large ones shrunk to a bounded number of pixels.
"""

from __future__ import annotations

import copy
import importlib
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from idvid import runtime
from idvid.errors import ModelError
from idvid.faces.types import Face

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

dlib: Any = importlib.import_module("dlib")  # a binary module without type information

MIN_FACE_PX = 24  # identity is lost below this (AUC .977 at 24 px, .933 at 16)
POINTS_FILE = "shape_predictor_5_face_landmarks.dat"
_HOG_FACE_PX = 80  # smallest face the HOG detector sees
_MAX_SEARCHED_PX = 1_600_000  # pixels searched per picture, after resizing
_loading = threading.Lock()
_idle: deque[Any] = deque()  # detectors; each keeps a scratch image, so one serves one thread


def detect_faces(
    image: NDArray[np.uint8], min_face_px: float = MIN_FACE_PX, min_score: float = 0.0
) -> tuple[Face, ...]:
    """All faces that look into the camera within about 45 degrees, largest first.

    Safe to call from several threads at once.

    Args:
        image: (H, W, 3) RGB.
        min_face_px: width of the smallest face to find; the search costs its inverse square. Large
            pictures are searched at 1.6 megapixels at most, so there it can be more than asked.
        min_score: detector margin below which a finding is dropped; negative finds more.
    """
    scale = _search_scale(image, min_face_px)
    searched = _resized(image, scale)
    with _detector() as detector:
        boxes, scores, _ = detector.run(searched, 0, min_score)
    predictor = _predictor()
    faces = [
        _face(box, predictor(searched, box), score, scale)
        for box, score in zip(boxes, scores, strict=True)
    ]
    return tuple(sorted(faces, key=lambda face: -face.width_px))


def find_in_each(
    detect: Callable[[NDArray[np.uint8]], tuple[Face, ...]], images: Sequence[NDArray[np.uint8]]
) -> list[tuple[Face, ...]]:
    """`detect` of each picture, on as many cores as idvid may use: dlib searches on one.

    Args:
        detect: `detect_faces`, or an encoder's `detect`.
        images: pictures (H, W, 3) RGB.
    """
    threads = min(runtime.num_threads(), len(images))
    if threads < 2:
        return [detect(image) for image in images]
    with ThreadPoolExecutor(threads) as pool:  # not kept: threads do not outlive a fork
        return list(pool.map(detect, images))


def _search_scale(image: NDArray[np.uint8], min_face_px: float) -> float:
    height, width = image.shape[:2]
    wanted = _HOG_FACE_PX / min_face_px
    return min(wanted, (_MAX_SEARCHED_PX / (height * width)) ** 0.5)


def _resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    if size == (width, height):
        return np.ascontiguousarray(image)
    method = Image.Resampling.BILINEAR if scale > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(size, method))


def _face(box: Any, shape: Any, score: float, scale: float) -> Face:  # noqa: ANN401
    edges = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], np.float32)
    points = np.array([[p.x, p.y] for p in shape.parts()], np.float32)
    return Face(
        box=edges / scale - 0.5,
        landmarks=(points + 0.5) / scale - 0.5,
        score=float(score),
    )


@contextmanager
def _detector() -> Iterator[Any]:
    try:
        detector = _idle.pop()
    except IndexError:
        with _loading:
            detector = copy.deepcopy(_load_detector())
    try:
        yield detector
    finally:
        _idle.append(detector)


def _predictor() -> Any:  # noqa: ANN401
    with _loading:
        return _load_predictor()


@cache
def _load_detector() -> Any:  # noqa: ANN401
    return dlib.get_frontal_face_detector()  # unpacks for about 0.3 s; a copy takes 1 ms


@cache
def _load_predictor() -> Any:  # noqa: ANN401
    resource = files("idvid") / "weights" / "judge" / POINTS_FILE
    if not resource.is_file():
        raise ModelError("The landmark model of the judge is missing; install idvid again.")
    with as_file(resource) as path:
        return dlib.shape_predictor(str(path))

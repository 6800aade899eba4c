"""Face vectors: what every judge can do, and the judge that ships with idvid.

The encoder that judges never conditions or trains: nothing in models or training may import this
file's `load_judge`. Knows no video. Judges of the user's own choice are `idvid.faces.pack`'s.
"""

from __future__ import annotations

import hashlib
import json
import threading
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from idvid.errors import ModelError
from idvid.faces.align import face_chips
from idvid.faces.detect import MIN_FACE_PX, detect_faces
from idvid.faces.dlib_net import DlibFaceNet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.resources.abc import Traversable

    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.faces.types import Face

    Cropper = Callable[[Tensor, Tensor], Tensor]

INDEX_FILE = "model.safetensors.index.json"
MEAN_KEY = "mean_embedding"
_BATCH = 32
_REACH = (
    3.0  # half side of the region a crop may need, in distances between the landmarks' extremes
)


class FaceEncoder(Protocol):
    """Anything that finds faces and turns them into comparable vectors."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its weights, so that a report says exactly what judged."""
        ...

    def detect(
        self, image: NDArray[np.uint8], min_face_px: float = ..., min_score: float = ...
    ) -> tuple[Face, ...]:
        """Faces of a picture as `idvid.faces.detect.detect_faces` gives them, largest first."""
        ...

    def refind(self, image: NDArray[np.uint8], face: Face) -> Face:
        """A face that another detector found, as this one sees it; unchanged if it does not."""
        ...

    def embed(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Face]
    ) -> NDArray[np.float32]:
        """Vectors (N, E) of unit norm of `faces[i]` in `images[i]` (H, W, 3); cosine compares."""
        ...


class JudgeEncoder:
    """dlib's face network: 128 numbers, centred on the mean face, unit norm.

    Centring matters: without it the cosine of two synthetic strangers is about 0.9. Safe to share
    between threads: it holds nothing but frozen weights.
    """

    name = "dlib-resnet-v1"

    def __init__(self, net: DlibFaceNet, mean_embedding: Tensor, sha256: str) -> None:
        self.net = net.eval().requires_grad_(False)
        self.mean_embedding = mean_embedding  # (128,)
        self.sha256 = sha256

    def detect(
        self,
        image: NDArray[np.uint8],
        min_face_px: float = MIN_FACE_PX,
        min_score: float = 0.0,
    ) -> tuple[Face, ...]:
        """Faces by the detector that ships with idvid."""
        return detect_faces(image, min_face_px, min_score)

    def refind(self, image: NDArray[np.uint8], face: Face) -> Face:  # noqa: ARG002
        """Return the face: references are found by this same detector."""
        return face

    def embed(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Face]
    ) -> NDArray[np.float32]:
        """Vectors (N, 128) of `faces[i]` in `images[i]`, mean-centred, unit norm."""
        if not faces:
            return np.zeros((0, self.mean_embedding.numel()), np.float32)
        with torch.inference_mode():
            vectors = [
                self.embed_chips(chips)
                for chips in cut_faces(images, faces, face_chips).split(_BATCH)
            ]
            return torch.cat(vectors).numpy()

    def embed_chips(self, chips: Tensor) -> Tensor:
        """Chips (N, 3, 150, 150) in [0, 1] -> (N, 128), mean-centred, unit norm; differentiable."""
        return torch.nn.functional.normalize(self.net(chips) - self.mean_embedding, dim=-1)


def load_judge() -> JudgeEncoder:
    """The judge that ships with idvid; loaded once, the same for every caller and thread.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    with _loading:
        return _load_judge()


_loading = threading.Lock()


@cache
def _load_judge() -> JudgeEncoder:
    from safetensors.torch import load

    folder = files("idvid") / "weights" / "judge"
    if not (folder / INDEX_FILE).is_file():
        raise ModelError("The weights of the judge are missing; install idvid again.")
    index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
    state: dict[str, Tensor] = {}
    for name, digest in index["metadata"]["sha256"].items():
        state |= load(_read_checked(folder / name, digest))
    mean = state.pop(MEAN_KEY)
    net = DlibFaceNet()
    net.load_state_dict(state)
    return JudgeEncoder(net, mean, combined_sha256(index["metadata"]["sha256"]))


def combined_sha256(digests: dict[str, str]) -> str:
    """One hash for a model in several files: of their hashes, in the order of their names."""
    joined = "".join(digests[name] for name in sorted(digests))
    return hashlib.sha256(joined.encode()).hexdigest()


def _read_checked(file: Traversable, digest: str) -> bytes:
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError("The weights of the judge are damaged; install idvid again.")
    return content


def cut_faces(
    images: Sequence[NDArray[np.uint8]], faces: Sequence[Face], cropper: Cropper
) -> Tensor:
    """Crops (N, 3, S, S) in [0, 1] of `faces[i]` in `images[i]`, whatever the pictures' sizes."""
    pairs = zip(images, faces, strict=True)
    return torch.cat([_cut_face(image, face, cropper) for image, face in pairs])


def _cut_face(image: NDArray[np.uint8], face: Face, cropper: Cropper) -> Tensor:
    """Crop from the part of the picture around the face, so that large photos stay cheap."""
    centre = face.landmarks.mean(0)
    reach = _REACH * float(np.ptp(face.landmarks, axis=0).max()) + 2
    height, width = image.shape[:2]
    x0, y0 = (int(max(value - reach, 0)) for value in centre)
    x1, y1 = (int(value + reach) + 1 for value in centre)
    region = image[y0 : min(y1, height), x0 : min(x1, width)].copy()
    if region.size == 0:
        raise ValueError("the face lies outside the picture")
    pixels = torch.from_numpy(region).permute(2, 0, 1)[None].float() / 255
    points = torch.from_numpy(face.landmarks - np.array([x0, y0], np.float32))[None]
    return cropper(pixels, points)

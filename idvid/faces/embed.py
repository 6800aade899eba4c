"""Face vectors: the judge that ships with idvid, and insightface packs of the user's own choice.

The encoder that judges never conditions or trains: nothing in models or training may import this
file's `load_judge`. Knows no video.
"""

from __future__ import annotations

import hashlib
import json
import threading
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from idvid.errors import ModelError
from idvid.faces.align import arcface_chips, face_chips
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
NON_COMMERCIAL_WARNING = (
    "insightface's own packs (buffalo_l, antelopev2) are for non-commercial research only; "
    "use them only if your use is."
)
_BATCH = 32
_REACH = (
    3.0  # half side of the region a crop may need, in distances between the landmarks' extremes
)


class FaceEncoder(Protocol):
    """Anything that turns found faces into comparable vectors."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its weights, so that a report says exactly what judged."""
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


class InsightFacePack:
    """The recogniser of an insightface pack in a local folder: 512 numbers, unit norm.

    Faces and landmarks stay ours, so every encoder judges the same faces. ArcFace vectors need no
    centring: their mean over people is near zero.
    """

    def __init__(self, recogniser: Any, name: str, sha256: str) -> None:  # noqa: ANN401
        self.name = name
        self.sha256 = sha256
        self._recogniser = recogniser  # insightface's ArcFaceONNX
        self._lock = threading.Lock()

    @classmethod
    def from_folder(cls, folder: Path) -> InsightFacePack:
        """Load the pack whose ONNX files lie in a folder; nothing is downloaded.

        Raises:
            ModelError: there is no such folder, or no detector and recogniser in it.
        """
        models = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
        if not models:  # insightface would download a pack of that name
            raise ModelError(
                "The face pack holds no .onnx file; choose the folder that holds them."
            )
        from insightface.app import FaceAnalysis

        modules = ["detection", "recognition"]
        providers = ["CPUExecutionProvider"]
        try:
            pack = FaceAnalysis(
                name=str(folder.resolve()), allowed_modules=modules, providers=providers
            )
        except AssertionError as error:  # how insightface says that no detector is there
            raise ModelError("The face pack holds no face detector; choose a full pack.") from error
        if "recognition" not in pack.models:
            raise ModelError("The face pack holds no face recogniser; choose a full pack.")
        recogniser = pack.models["recognition"]
        digest = hashlib.sha256(Path(recogniser.model_file).read_bytes()).hexdigest()
        return cls(recogniser, folder.name, digest)

    def embed(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Face]
    ) -> NDArray[np.float32]:
        """Vectors (N, E) of `faces[i]` in `images[i]`, unit norm."""
        if not faces:
            return np.zeros((0, int(self._recogniser.output_shape[-1])), np.float32)
        chips = (cut_faces(images, faces, arcface_chips) * 255).round().to(torch.uint8)
        bgr = list(chips.permute(0, 2, 3, 1).flip(-1).numpy())
        with self._lock:
            batches = [bgr[i : i + _BATCH] for i in range(0, len(bgr), _BATCH)]
            vectors = np.concatenate([self._recogniser.get_feat(batch) for batch in batches])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(norms, 1e-12)).astype(np.float32)

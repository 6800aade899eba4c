"""The files of a face pack: found, opened by insightface, and checked.

Nothing here downloads: insightface is only ever given folders and files that exist. Knows shapes,
no faces and no licences.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idvid import runtime
from idvid.config import CONDITIONER_MARK
from idvid.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

MODULES = ["detection", "recognition"]
FACE_PX = 112  # side of the crop that ArcFace networks take
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_SCRFD_OUTPUTS = (9, 15)  # scores, boxes and landmarks at 3 or 5 strides
_DAMAGED = "The face pack is damaged or no ONNX that runs here; download it again."
_WRONG_SHAPES = (
    "The networks of the face pack do not give what ArcFace and SCRFD give; choose another pack."
)
CONDITIONER_CANNOT_JUDGE = (
    "This face pack is the network that conditions the video, so it cannot judge it; "
    "choose another pack or the bundled judge."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackNetworks:
    """The opened networks of a pack, as insightface wraps them."""

    recogniser: Any  # ArcFaceONNX
    detector: Any | None  # SCRFD; None where idvid's own detector finds the faces
    vector: int  # E, what the recogniser was seen to give

    def hashes(self) -> dict[str, str]:
        """The sha256 of every file in use, by file name."""
        used = [network for network in (self.detector, self.recogniser) if network is not None]
        files = [Path(network.model_file) for network in used]
        return {file.name: sha256(file.read_bytes()).hexdigest() for file in files}


def pack_folder(root: Path) -> Path:
    """The folder at or under `root` that holds the pack's ONNX files, however deep they lie.

    Raises:
        ModelError: There is none, or there are several packs.
    """
    found = [p.parent for p in root.rglob("*.onnx")] if root.is_dir() else []
    folders = sorted({f for f in found if found.count(f) > 1} or set(found))
    if not folders:
        raise ModelError("The face pack holds no .onnx file; choose the folder that holds them.")
    if len(folders) > 1:
        names = ", ".join(folder.name[:40] for folder in folders[:6])
        raise ModelError(
            f"The folder holds {len(folders)} face packs ({names}); choose one of its folders."
        )
    return folders[0]


def open_pack(folder: Path) -> PackNetworks:
    """The detector and the recogniser of a pack in a folder.

    Raises:
        ModelError: A file is missing, damaged or of another shape.
    """
    from insightface.app import FaceAnalysis

    existing = str(pack_folder(folder).resolve())  # a name that is no folder would be downloaded
    try:
        pack = FaceAnalysis(name=existing, allowed_modules=MODULES, **_session())
    except AssertionError as error:  # how insightface says that no detector is there
        raise ModelError(
            "The face pack holds no face detector, or a recogniser with several outputs; "
            "choose a full pack."
        ) from error
    except _failures() as error:
        raise ModelError(_DAMAGED) from error
    if "recognition" not in pack.models:
        raise ModelError(
            "The face pack holds no face recogniser (an ONNX file that takes "
            f"{FACE_PX} x {FACE_PX} pixels); choose a full pack."
        )
    return _checked(pack.models["recognition"], pack.det_model)


def open_recogniser(file: Path) -> PackNetworks:
    """The recogniser of one ONNX file; idvid's own detector finds the faces for it.

    Raises:
        ModelError: The file is missing, damaged or of another shape.
    """
    from insightface.model_zoo import get_model

    if not file.is_file():
        raise ModelError(f"The face pack lacks {file.name[:60]}; download the pack again.")
    try:
        recogniser = get_model(str(file.resolve()), **_session())
    except (AssertionError, *_failures()) as error:
        raise ModelError(_DAMAGED) from error
    if getattr(recogniser, "taskname", None) != "recognition":
        raise ModelError(f"{file.name[:60]} is no face recogniser; choose a full pack.")
    return _checked(recogniser, None)


def _session() -> dict[str, Any]:
    """How onnxruntime runs a pack: where and on as many threads as we may use."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.num_threads()
    offered = onnxruntime.get_available_providers()
    return {"providers": execution_providers(offered, runtime.device()), "sess_options": options}


def execution_providers(
    offered: Sequence[str], device: torch.device
) -> list[str | tuple[str, dict[str, int]]]:
    """CUDA if that is our device and onnxruntime offers it (`onnxruntime-gpu` does), then the CPU."""
    if device.type == "cuda" and _CUDA in offered:
        return [(_CUDA, {"device_id": device.index or 0}), _CPU]
    return [_CPU]


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime and insightface raise for files they cannot use."""
    state: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    raised = [kind for kind in kinds if issubclass(kind, Exception)]
    return (*raised, RuntimeError, ValueError, TypeError, LookupError, AttributeError, OSError)


def _checked(recogniser: Any, detector: Any | None) -> PackNetworks:  # noqa: ANN401
    """The networks, after one run of each on a black picture.

    Raises:
        ModelError: Shapes are not those of ArcFace and SCRFD, or the file is a conditioner's.
    """
    if CONDITIONER_MARK in recogniser.session.get_modelmeta().custom_metadata_map.items():
        raise ModelError(CONDITIONER_CANNOT_JUDGE)
    if tuple(recogniser.input_size) != (FACE_PX, FACE_PX):
        raise ModelError(
            f"The face recogniser takes {recogniser.input_size[0]} px pictures, "
            f"we cut {FACE_PX} px; choose another pack."
        )
    if detector is not None and len(detector.output_names) not in _SCRFD_OUTPUTS:
        raise ModelError(
            f"The face detector has {len(detector.output_names)} outputs, one with landmarks has "
            "9 or 15; choose another pack."
        )
    black = np.zeros((FACE_PX, FACE_PX, 3), np.uint8)
    try:
        vectors = recogniser.get_feat([black])
        if detector is not None:
            detector.detect(black)
    except _failures() as error:
        raise ModelError(_WRONG_SHAPES) from error
    if vectors.ndim != 2 or len(vectors) != 1 or not np.isfinite(vectors).all():
        raise ModelError(_WRONG_SHAPES)
    return PackNetworks(recogniser=recogniser, detector=detector, vector=vectors.shape[1])

"""The face backbone as an ONNX file that insightface loads as an ArcFace recogniser.

Owns names, shapes and the mark of the file. insightface feeds RGB, (x - 127.5) / 127.5, which is
what the backbone reads, so the graph is the network and nothing else. It marks the file as a
conditioner, and `idvid.faces` refuses to judge with a file so marked.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import torch

from idvid.config import CONDITIONER_MARK
from idvid.errors import InputError
from idvid.models.face_backbone import FACE_SIZE_PX

if TYPE_CHECKING:
    from pathlib import Path

    from idvid.models.face_backbone import FaceBackbone

INPUT_NAME, OUTPUT_NAME = "data", "embedding"
_OPSET = 17


def export_backbone(backbone: FaceBackbone, file: Path) -> None:
    """Write (n, 3, 112, 112) -> (n, 512), unit norm; any number of faces at once.

    The exporter is torch's older one, built on TorchScript: it needs no further package and gives
    the plain graph of convolutions that insightface was made for.

    Args:
        backbone: In float32 on the CPU.
        file: Ends in `.onnx`; replaced if it exists.

    Raises:
        InputError: The file has another ending, or cannot be written.
    """
    if file.suffix != ".onnx":
        raise InputError("The name of the exported file must end in .onnx.")
    import onnx

    graph = onnx.load_model_from_string(_traced(backbone))
    width = graph.graph.output[0].type.tensor_type.shape.dim[1]
    width.dim_value = backbone.config["vector"]  # the exporter gives it a name instead
    onnx.helper.set_model_props(graph, dict([CONDITIONER_MARK]))
    try:
        file.write_bytes(graph.SerializeToString())
    except OSError as error:
        raise InputError(
            "The exported file cannot be written; give --out another place."
        ) from error


def _traced(backbone: FaceBackbone) -> bytes:
    face = torch.zeros(1, 3, FACE_SIZE_PX, FACE_SIZE_PX)
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers its newer exporter
        torch.onnx.export(
            backbone.eval(),
            (face,),
            written,  # pyright: ignore[reportArgumentType] - the older exporter takes a buffer
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: "n"}, OUTPUT_NAME: {0: "n"}},
        )
    return written.getvalue()

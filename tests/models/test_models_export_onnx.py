"""Laws of the exported face backbone: insightface loads it and agrees with the torch module."""

import numpy as np
import pytest
import torch
from insightface.app import FaceAnalysis
from insightface.model_zoo import get_model
from tiny_packs import save_detector

from idvid.errors import InputError
from idvid.models.export_onnx import export_backbone
from idvid.pipeline.generate import load_pipeline

MAX_COSINE_DISTANCE = 1e-5


@pytest.fixture(scope="module")
def backbone():
    """The one that ships, trained."""
    return load_pipeline().backbone


@pytest.fixture(scope="module")
def folder(backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    save_detector(folder / "det.onnx")
    export_backbone(backbone, folder / "rec.onnx")
    return folder


def test_insightface_gives_the_vectors_of_the_torch_module(backbone, folder):
    chips = np.random.default_rng(900000).integers(0, 256, (5, 7, 7, 3))
    chips = np.kron(chips, np.ones((1, 16, 16, 1))).astype(np.uint8)  # (5, 112, 112, 3) RGB
    recogniser = get_model(str(folder / "rec.onnx"), providers=["CPUExecutionProvider"])
    assert (recogniser.taskname, recogniser.input_size) == ("recognition", (112, 112))
    assert (recogniser.input_mean, recogniser.input_std) == (127.5, 127.5)
    assert recogniser.output_shape[-1] == 512
    bgr = list(np.ascontiguousarray(chips[..., ::-1]))
    together, alone = (
        recogniser.get_feat(bgr),
        np.concatenate([recogniser.get_feat(c) for c in bgr]),
    )
    signed = torch.from_numpy(chips).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = backbone(signed).numpy()
    for vectors in (together, alone):
        assert vectors.shape == (5, 512)
        assert np.abs(1 - (vectors * expected).sum(1)).max() < MAX_COSINE_DISTANCE
    assert (expected @ expected.T)[0, 1:].max() < 0.99  # the faces do differ


def test_the_exported_file_is_the_recogniser_of_a_pack(folder):
    app = FaceAnalysis(name=str(folder), providers=["CPUExecutionProvider"])
    assert set(app.models) == {"detection", "recognition"}


def test_a_file_that_is_not_named_onnx_is_refused(backbone, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        export_backbone(backbone, tmp_path / "backbone.bin")
    with pytest.raises(InputError, match="cannot be written"):
        export_backbone(backbone, tmp_path / "nowhere" / "backbone.onnx")

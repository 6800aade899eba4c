"""A model's folder says which pipeline it is for."""

import pytest
import wan_tiny

from idvid.errors import ModelError
from idvid.pipeline.generate import IdVidPipeline
from idvid.pipeline.load import load_pipeline
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_options import VaceOptions


def test_the_folder_decides_which_pipeline_it_is(tiny_folder, vace_folder):
    mini = load_pipeline(str(tiny_folder))
    vace = load_pipeline(str(vace_folder), VaceOptions(**wan_tiny.VACE_SIZE))
    assert type(mini) is IdVidPipeline
    assert type(vace) is IdVidVacePipeline
    for pipeline, size in ((mini, (224, 128, 12)), (vace, (48, 32, 16))):
        backend = pipeline.backend
        assert (backend.width_px, backend.height_px, backend.fps) == size
        assert "locks" in backend.methods


@pytest.mark.parametrize("index", ["", "[]", '{"_class_name": "SomeOtherPipeline"}'])
def test_other_kinds_are_one_sentence(tmp_path, index):
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(ModelError, match="damaged or of another kind"):
        load_pipeline(str(tmp_path))

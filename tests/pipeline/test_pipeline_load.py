"""A model's folder says which pipeline it is for, and its plan where the weights go."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import wan_tiny

from idvid.config import GenerationSettings
from idvid.errors import InputError, ModelError
from idvid.pipeline.generate import IdVidPipeline
from idvid.pipeline.load import LoadedModel
from idvid.pipeline.loader import Loader
from idvid.pipeline.offers import fit_here
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import GIB, Machine
from idvid.types import SteppedDown, WindowDone

SIZE = VaceOptions(**wan_tiny.VACE_SIZE)
GPU = Machine(gpu_free=(80 * GIB,), ram_free=80 * GIB)


def drain(holding):
    """What a loading said, and the model that it ended with."""
    said = []
    while True:
        try:
            said.append(next(holding))
        except StopIteration as end:
            return said, end.value


def load(source, options=SIZE):
    loader = Loader(options)
    return drain(loader.hold(loader.choose(str(source))))[1]


def test_the_folder_decides_which_pipeline_it_is(tiny_folder, vace_folder):
    mini, vace = load(tiny_folder), load(vace_folder)
    assert type(mini.pipeline) is IdVidPipeline
    assert type(vace.pipeline) is IdVidVacePipeline
    for model, size in ((mini, (224, 128, 12)), (vace, (48, 32, 16))):
        backend = model.backend
        assert (backend.width_px, backend.height_px, backend.fps) == size
        assert "locks" in backend.methods


def test_the_plan_decides_precision_and_place(vace_folder):
    model = load(vace_folder)
    assert model.plan.name == "cpu"
    assert str(model.pipeline.transformer.dtype) == f"torch.{model.plan.precision}"
    assert model.pipeline.vae.dtype == torch.float32


@pytest.mark.parametrize("index", ["", "[]", '{"_class_name": "SomeOtherPipeline"}'])
def test_other_kinds_are_one_sentence(tmp_path, index):
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(ModelError, match="cannot run this kind of model; choose the bundled one"):
        load(tmp_path)


class Crowded:
    """A transformer's memory that is full until the weights are placed anew."""

    def __init__(self, pipeline, full_at):
        self.calls, self.full_at = 0, full_at
        self.handle = pipeline.transformer.register_forward_pre_hook(self.check)

    def check(self, *_):
        self.calls += 1
        if self.calls == self.full_at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_out_of_memory_steps_down_says_so_and_makes_the_same_video(
    monkeypatch, vace_folder, vace_scene, vace_references
):
    """The plans of a GPU, carried out on the CPU: the second window fails, then runs by turns."""
    settings = GenerationSettings(method="locks", num_steps=2)
    loader = Loader(replace(SIZE, cache="taylorseer"))
    model = drain(loader.hold(loader.choose(str(vace_folder))))[1]
    stream = (vace_scene, vace_references, settings, lambda: False)
    expected = [e for e in model.stream(*stream) if isinstance(e, WindowDone)]
    planned = fit_here(model.choice, GPU, SIZE).plan
    model = LoadedModel(model.choice, model.pipeline, planned)
    on_cpu = partial(apply_plan, device=torch.device("cpu"))
    monkeypatch.setattr("idvid.pipeline.vace_load.apply_plan", on_cpu)
    crowded = Crowded(model.pipeline, full_at=4)
    events = list(model.stream(*stream))
    crowded.handle.remove()
    (note,) = [e for e in events if isinstance(e, SteppedDown)]
    assert note.message.startswith("Out of memory with plan gpu; going on with ")
    assert model.plan.name == note.plan == "encoder-off"
    windows = [e for e in events if isinstance(e, WindowDone)]
    assert [w.first_frame for w in windows] == [0, 9]
    for ours, theirs in zip(windows, expected, strict=True):
        assert np.array_equal(ours.frames, theirs.frames)
    assert model.pipeline.transformer.is_cache_enabled


def test_a_clip_goes_on_from_a_video_where_the_model_can(
    vace_folder, tiny_folder, vace_scene, vace_references
):
    settings = GenerationSettings(method="none", num_steps=1)
    before = np.full((6, 32, 48, 3), 200, np.uint8)
    stream = (vace_scene, vace_references, settings, lambda: False)
    vace = load(vace_folder)
    made, after = (
        [e for e in vace.stream(*stream, b) if isinstance(e, WindowDone)] for b in (None, before)
    )
    assert sum(len(w.frames) for w in after) == sum(len(w.frames) for w in made) == 12
    assert not np.array_equal(after[0].frames, made[0].frames)
    with pytest.raises(InputError, match="idvid-mini cannot go on from a video; choose a VACE"):
        list(load(tiny_folder).stream(*stream, before))

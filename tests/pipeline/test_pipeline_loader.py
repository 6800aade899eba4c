"""One model in memory: switching frees the old one first, and whoever works is not disturbed."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace

import pytest
import torch
import wan_tiny
from test_pipeline_load import drain

from idvid.config import GenerationSettings
from idvid.errors import HubError, InputError, ModelError
from idvid.hub import ModelRef
from idvid.models.wan_attach import is_attached
from idvid.pipeline import loader as loaders
from idvid.pipeline.extras import NOTHING_ADDED, named_extras
from idvid.pipeline.load import load_model
from idvid.pipeline.loader import BUSY, Loader
from idvid.pipeline.vace_options import VaceOptions

SIZE = VaceOptions(**wan_tiny.VACE_SIZE)


def tensors(pipeline):
    """Weak references to every weight and buffer."""
    parts = [p for p in pipeline.components.values() if isinstance(p, torch.nn.Module)]
    return [weakref.ref(t) for p in parts for t in (*p.parameters(), *p.buffers())]


def alive(references):
    return sum(reference() is not None for reference in references)


class Watching:
    """Loads for real, and notes how much of the last model is alive when the next one begins."""

    def __init__(self):
        self.last, self.alive_at_start, self.sizes = [], [], []

    def __call__(self, choice, fit):
        self.alive_at_start.append(alive(self.last))
        pipeline = load_model(choice, fit)
        self.last = tensors(pipeline)
        self.sizes.append(len(self.last))
        return pipeline


def use(loader, name, extras=NOTHING_ADDED):
    drain(loader.hold(loader.choose(str(name), extras)))
    loader.release()


def test_switching_frees_every_weight_before_the_next_model_is_read(vace_folder, tiny_folder):
    watching = Watching()
    loader = Loader(SIZE, load=watching)
    for folder in (vace_folder, tiny_folder, vace_folder):
        use(loader, folder)
    assert watching.alive_at_start == [0, 0, 0]
    assert min(watching.sizes) > 50


def test_switching_frees_a_model_that_has_made_a_video(
    vace_folder, tiny_folder, vace_scene, vace_references
):
    watching = Watching()
    loader = Loader(SIZE, load=watching)
    model = drain(loader.hold(loader.choose(str(vace_folder))))[1]
    settings = GenerationSettings(method="locks", num_steps=1)
    list(model.stream(vace_scene, vace_references, settings, lambda: False))
    stopped = model.stream(vace_scene, vace_references, settings, lambda: False)
    next(stopped)
    stopped.close()
    del model, stopped
    loader.release()
    use(loader, tiny_folder)
    assert watching.alive_at_start == [0, 0]


@pytest.mark.gpu
def test_switching_gives_the_gpu_back(vace_folder, tiny_folder):
    loader = Loader(SIZE)
    before = torch.cuda.memory_allocated()
    use(loader, vace_folder)
    assert loader.current.plan.peak_vram
    assert torch.cuda.memory_allocated() > before
    use(loader, tiny_folder)
    assert torch.cuda.memory_allocated() == before


def test_the_same_model_is_not_loaded_again(tiny_folder):
    watching = Watching()
    loader = Loader(load=watching)
    use(loader, tiny_folder)
    said, _ = drain(loader.hold(loader.choose(str(tiny_folder))))
    assert said == []
    assert len(watching.sizes) == 1


def test_others_wait_while_a_model_works(tiny_folder, monkeypatch):
    monkeypatch.setattr(loaders, "POLL_S", 0.01)
    loader = Loader()
    drain(loader.hold(loader.choose(str(tiny_folder))))
    waiting = loader.hold(loader.choose("bundled"))
    assert [next(waiting) for _ in range(3)] == [BUSY] * 3
    waiting.close()
    threading.Thread(target=loader.release).start()  # a run may end in another thread
    drain(loader.hold(loader.choose(str(tiny_folder))))


def test_what_cannot_be_loaded_leaves_the_model_in_memory_alone(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    loader = Loader()
    use(loader, tiny_folder)
    for name, error in (("vace-1.3b", HubError), (str(tmp_path), ModelError)):
        with pytest.raises(error):
            drain(loader.hold(loader.choose(name)))
    assert loader.current.choice.source == tiny_folder
    use(loader, tiny_folder)


def test_a_model_that_is_damaged_is_let_go_and_the_next_one_loads(tiny_folder, tmp_path):
    (tmp_path / "model_index.json").write_text((tiny_folder / "model_index.json").read_text())
    loader = Loader()
    with pytest.raises(ModelError, match="damaged or of another kind"):
        use(loader, tmp_path)
    assert loader.current is None
    use(loader, tiny_folder)


def steps_and_guidance(model, num_steps, guidance_scale):
    suited = model.suited(GenerationSettings(), num_steps, guidance_scale)
    return suited.num_steps, suited.guidance_scale


def test_an_adapter_and_a_lora_are_added_on_the_way_into_memory(vace_folder, tmp_path):
    wan_tiny.adapter().save(tmp_path / "adapter")
    wan_tiny.save_loras(tmp_path / "lora", "other", "few-step")
    extras = named_extras(
        adapter=str(tmp_path / "adapter"),
        lora=f"{tmp_path / 'lora'}:few-step.safetensors",
        cache="taylorseer",
    )
    loader, queries, suits = Loader(SIZE), [], []
    for each in (NOTHING_ADDED, extras):
        use(loader, vace_folder, each)
        suits.append(steps_and_guidance(loader.current, None, None))
        transformer = loader.current.pipeline.transformer
        queries.append(transformer.blocks[0].attn1.to_q.weight.clone())
    assert list(loader.fetch(loader.current.choice)) == []
    assert is_attached(transformer)
    assert transformer.is_cache_enabled
    assert loader.current.pipeline.options.shift == 5.0
    assert not torch.equal(*queries)
    assert suits == [(30, 5.0), (4, 1.0)]
    assert steps_and_guidance(loader.current, 8, 5.0) == (8, 5.0), "asked for"
    said = dict(loader.offer(loader.current.choice).facts)["Steps"]
    assert said.startswith(
        "4 with guidance 1 and flow shift 5, as few-step LoRAs want: its name says"
    )
    assert "Steps" not in dict(loader.offer(loader.choose(str(vace_folder))).facts)


def test_extras_are_refused_where_nothing_takes_them(tiny_folder):
    loader = Loader()
    extras = replace(named_extras(lora="a/b", quantise="fp8"), compiled=True)
    refusal = "take no LoRA and no compiled blocks and no quantisation; leave that out"
    for name in (str(tiny_folder), "bundled"):
        with pytest.raises(ModelError, match=refusal):
            use(loader, name, extras)


def test_a_stranger_opens_no_folder(monkeypatch, tmp_path, tiny_folder):
    """Not even one whose relative path looks like a name on the Hub."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").symlink_to(tiny_folder.parent)
    loader = Loader()
    name = f"owner/{tiny_folder.name}"
    assert loader.choose(name).source.resolve() == tiny_folder
    assert loader.choose(name, is_public=True).source == ModelRef(repo=name)
    for other in (str(tiny_folder), "", "a/b/c", "owner", "/etc"):
        with pytest.raises(InputError, match="folders are the server's own business"):
            loader.choose(other, is_public=True)


def test_the_owner_names_the_default(monkeypatch, tiny_folder):
    loader = Loader()
    monkeypatch.delenv("IDVID_MODEL", raising=False)
    assert loader.choose("default", is_public=True).source is None
    monkeypatch.setenv("IDVID_MODEL", str(tiny_folder))
    assert loader.choose("default", is_public=True).source == tiny_folder
    monkeypatch.setenv("IDVID_MODEL", "vace-14b")
    assert loader.choose("default").source.repo == "Wan-AI/Wan2.1-VACE-14B-diffusers"


def test_a_wrong_default_is_a_sentence_that_does_not_repeat_it(monkeypatch):
    monkeypatch.setenv("IDVID_MODEL", "/secret/place")
    with pytest.raises(ModelError, match=r"IDVID_MODEL names no model; set it to .*\.$") as caught:
        Loader().choose("default", is_public=True)
    assert "secret" not in str(caught.value)

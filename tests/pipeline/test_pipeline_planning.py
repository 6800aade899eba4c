"""From a model's name to its plan: before anything is downloaded, in words, and true to README."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers import WanVACEPipeline

from idvid.cli import main
from idvid.errors import ModelError
from idvid.hub import size_text
from idvid.models.wan_memory import VideoRequest
from idvid.pipeline.extras import NOTHING_ADDED, added_bytes, additions, named_extras
from idvid.pipeline.plan_text import CARDS_GIB, PlanQuestion, answer, plan_table
from idvid.pipeline.planning import bare_pipeline
from idvid.runtime import GIB, TRANSFORMER, VAE, AddedBytes, Machine, make_plan
from idvid.runtime.peaks import free_for
from tests import wan_tiny
from tests.hub_server import LoopbackHub

ROOT = Path(__file__).parents[2]
SMALL = "Wan-AI/Wan2.1-VACE-1.3B-diffusers"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A Hub's folders with one tiny VACE model."""
    path = tmp_path_factory.mktemp("hub")
    WanVACEPipeline(**wan_tiny.parts("vace")).save_pretrained(path / "someone" / "tiny-vace")
    return path


def question(**changes):
    asked = {
        "model": SMALL,
        "extras": NOTHING_ADDED,
        "num_frames": 81,
        "height": 480,
        "width": 832,
        "num_references": 2,
        "vram_gib": 24.0,
    }
    return PlanQuestion(**(asked | changes))


def test_readme_shows_what_the_planner_says():
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("<!-- plan:begin -->\n")[2].partition("<!-- plan:end -->")[0]
    assert shown == plan_table(), "run python -m tools.plan_table"
    assert all(f"| {size} GB |" in shown for size in CARDS_GIB)


def test_a_key_of_the_catalogue_is_the_model_itself():
    request = VideoRequest()
    by_key, by_name = (bare_pipeline(m).footprint(request) for m in ("vace-1.3b", SMALL))
    assert by_key == by_name


def test_the_answer_names_plan_components_and_what_comes_after(capsys):
    arguments = ["plan", "--model", SMALL, "--vram", "12", "--ram", "48"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "Wan2.1-VACE-1.3B-diffusers: plan model-offload takes up to 10.9 GiB"
    )
    rows = {line.split()[0]: line for line in lines[2:6]}
    assert "5.68 B" in rows["text_encoder"]
    assert "4.0 GiB" in rows["transformer"]
    assert "float32" in rows["vae"]
    assert all(
        row.endswith("on the GPU in its turn") for n, row in rows.items() if n != "component"
    )
    assert lines[-1].startswith("If memory runs out all the same: encoder-stream")


def test_settings_change_the_answer():
    machine, bare = Machine(gpu_free=(80 * GIB,), ram_free=64 * GIB), bare_pipeline(SMALL)

    def peak(quantise="none", **request):
        return make_plan(bare.footprint(VideoRequest(**request)), machine, quantise).peak_vram[0]

    assert peak("fp8") < peak(num_frames=17) < peak() < peak(height=720, width=1280)


def test_several_gpus_are_used_together():
    text = answer(question(model="Wan-AI/Wan2.1-T2V-14B-Diffusers", vram_gib=30, num_gpus=2))
    assert "plan split" in text
    assert "split over 2 GPUs" in text


def test_without_a_card_the_answer_is_for_this_machine(monkeypatch):
    monkeypatch.setenv("IDVID_DEVICE", "cpu")
    text = answer(question(vram_gib=None, num_frames=5, ram_gib=100))
    assert "plan cpu" in text
    assert "of GPU memory" not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vram", "4", "--ram", "8"], "needs at least"),
        (["--vram", "24", "--size", "833x480"], "multiples of 16"),
        (["--vram", "24", "--gpus", "0", "--quantise", "fp8"], "need a CUDA GPU"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_code_2(capsys, arguments, says):
    assert main(["plan", "--model", SMALL, *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("size", ["832", "832x", "x480", "832x480x3", "axb", "99999x480"])
def test_a_senseless_size_is_refused_by_the_parser(capsys, size):
    with pytest.raises(SystemExit):
        main(["plan", "--model", SMALL, "--size", size])
    assert "such as 832x480" in capsys.readouterr().err


def test_a_folder_is_planned_from_its_settings(root):
    folder = root / "someone" / "tiny-vace"
    bare = bare_pipeline(str(folder))
    assert bare.name == "tiny-vace"
    expected = sum(p.numel() for p in wan_tiny.vace_transformer().parameters())
    model = bare.footprint(VideoRequest(num_frames=5, height=32, width=48))
    assert model.component(TRANSFORMER).num_params == expected
    assert model.component(VAE).weights[0].total < GIB


def test_weights_that_are_not_all_there_are_refused(root, tmp_path):
    folder = tmp_path / "model"
    pipeline = WanVACEPipeline.from_pretrained(root / "someone" / "tiny-vace")
    pipeline.save_pretrained(folder)
    pipeline.transformer.blocks = pipeline.transformer.blocks[:1]
    config = (folder / "transformer" / "config.json").read_text()
    pipeline.transformer.save_pretrained(folder / "transformer")
    (folder / "transformer" / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"The weights of transformer have .* download .*\.$"):
        bare_pipeline(str(folder))


def test_the_bundled_model_needs_no_plan():
    with pytest.raises(ModelError, match="fits every machine without a plan"):
        bare_pipeline(str(ROOT / "idvid" / "weights" / "mini"))


def test_of_a_model_on_the_hub_only_settings_are_fetched(root, tmp_path):
    with LoopbackHub(root) as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}
        command = [sys.executable, "-m", "idvid", "plan", "--model", "someone/tiny-vace"]
        done = subprocess.run(
            [*command, "--vram", "8", "--frames", "5", "--size", "48x32"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        fetched = {path for path, size in hub.sent.items() if size}
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny-vace: plan gpu")
    assert any(path.endswith("transformer/config.json") for path in fetched)
    assert not [path for path in fetched if path.endswith(".safetensors")]


def parts_of(folder):
    """An adapter and two LoRAs in folders, and what their files weigh: layers, all, one LoRA."""
    wan_tiny.adapter().save(folder / "adapter")
    wan_tiny.save_loras(folder / "loras", "few", "other")
    weights = {f: f.stat().st_size for f in folder.rglob("*.safetensors")}
    adapter = {f: size for f, size in weights.items() if "adapter" in f.parts}
    layers = sum(size for f, size in adapter.items() if f.parent.name == "identity_layers")
    return layers, sum(adapter.values()), weights[folder / "loras" / "few.safetensors"]


def test_an_adapter_and_a_lora_count_by_their_files(tmp_path):
    layers, adapter, lora = parts_of(tmp_path)
    extras = named_extras(
        adapter=str(tmp_path / "adapter"), lora=f"{tmp_path / 'loras'}:few.safetensors"
    )
    added = added_bytes(additions(extras))
    assert (added.layers, added.beside) == (layers, adapter - layers + lora)
    bare, machine = bare_pipeline(SMALL), Machine(gpu_free=(80 * GIB,), ram_free=64 * GIB)
    request = VideoRequest()
    plain, full = (
        make_plan(bare.footprint(request, more), machine) for more in (AddedBytes(), added)
    )
    assert full.peak_vram[0] - plain.peak_vram[0] == layers
    assert full.ram - plain.ram == adapter + lora


def test_an_adapter_moves_a_plan_that_was_near_its_limit():
    bare, request = bare_pipeline(SMALL), VideoRequest()
    peak = make_plan(bare.footprint(request), Machine(gpu_free=(80 * GIB,), ram_free=64 * GIB))
    tight = Machine(gpu_free=(free_for(peak.peak_vram[0]),), ram_free=64 * GIB)
    heavy = AddedBytes(layers=GIB, beside=0)
    names = [make_plan(bare.footprint(request, m), tight).name for m in (AddedBytes(), heavy)]
    assert names == ["gpu", "encoder-off"]


def test_layers_of_an_adapter_are_streamed_with_their_blocks():
    machine = Machine(gpu_free=(7 * GIB,), ram_free=64 * GIB)
    bare, request = bare_pipeline(SMALL), VideoRequest()
    plain, full = (
        make_plan(bare.footprint(request, AddedBytes(layers=n)), machine) for n in (0, 300 << 20)
    )
    assert plain.name == full.name == "group-offload"
    assert 0 < full.peak_vram[0] - plain.peak_vram[0] < 60 << 20


def test_the_command_counts_what_is_added_and_says_so(tmp_path, capsys):
    _, adapter, _ = parts_of(tmp_path)
    arguments = ["plan", "--model", SMALL, "--vram", "24", "--adapter", str(tmp_path / "adapter")]
    assert main(arguments) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("Adapter: adapter: ")
    assert said.endswith(f"{size_text(adapter)} on this machine.")
    assert str(tmp_path) not in said


def test_what_the_hub_does_not_say_is_named_as_not_counted(no_hub, capsys):
    assert (
        main(["plan", "--model", SMALL, "--vram", "24", "--lora", "some/lora:a.safetensors"]) == 0
    )
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("LoRA: some/lora, not counted in the plan: ")

"""The whole page on a tiny VACE model that a Hub on loopback serves, in Chromium."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import wan_tiny
from gradio_client import Client, handle_file
from hub_server import Fault, LoopbackHub
from visit import PLAYING, SECOND_MS, Visit

from idvid.media.video import SegmentWriter, concat
from tools.serve import serving

REPO = "tiny/wan-vace"
LORA, ADAPTER = "tiny/loras", "tiny/identity"
WEIGHTS = f"/storage/{REPO}/transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, vace_folder):
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(vace_folder, root / REPO)
    wan_tiny.save_loras(root / LORA, "few-step", "other")
    wan_tiny.adapter().save(root / ADAPTER)
    for repo in (REPO, LORA, ADAPTER):
        (root / repo / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    with LoopbackHub(root) as server:
        yield server


@pytest.fixture(scope="module")
def vace_server(hub, tmp_path_factory):
    """The page in a process of its own, whose Hub is ours."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "0")
        patch.setenv("HF_HUB_DISABLE_XET", "1")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        for name in [n for n in os.environ if n.lower().endswith("_proxy") or n == "IDVID_MODEL"]:
            patch.delenv(name)
        with serving(Path(__file__).parent / "tiny_vace_page.py", home) as server:
            yield server


@pytest.fixture
def clip(tmp_path):
    """A short video of noise."""
    frames = np.random.default_rng(0).integers(0, 256, (24, 64, 96, 3), np.uint8)
    concat([SegmentWriter(16.0).write(frames)], tmp_path / "before.mp4")
    return tmp_path / "before.mp4"


def test_two_people_two_methods_on_a_model_from_the_hub(browser, vace_server, hub, photos, clip):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    visit = Visit(page, vace_server.url)
    visit.open_menu()
    look_before_loading(visit, hub)
    visit.fill(photos, seconds=1, steps=2)
    assert page.locator("#guidance input[type=number]").input_value() == "5", "what suits VACE"
    visit.press("Generate")
    page.get_by_test_id("toast-body").get_by_text("is not on this machine yet").wait_for()

    add_parts(visit, clip)
    cancel_a_slow_download(visit, hub)
    visit.press("Download and load")
    visit.wait_for_model("wan-vace is ready.", timeout_s=120)
    assert "plan " in page.locator("#model-state").inner_text()
    assert "apache-2.0" in page.locator("#model-facts").inner_text()
    assert f"{LORA}: apache-2.0; 600 bytes on" in page.locator("#model-facts").inner_text()
    assert hub.sent[f"/storage/{LORA}/few-step.safetensors"]
    assert not hub.sent[f"/storage/{LORA}/other.safetensors"]
    assert hub.sent[f"/storage/{ADAPTER}/identity_layers/diffusion_pytorch_model.safetensors"]

    visit.press("Generate")
    page.wait_for_function(PLAYING, arg="live1", timeout=90 * SECOND_MS)
    visit.wait_for_status("Done.", timeout_s=120)
    for number in (1, 2):
        page.wait_for_function(PLAYING, arg=f"video{number}", timeout=20 * SECOND_MS)
        assert video_size(page, f"video{number}") == [48, 32]
        panel = page.locator(f"#drift{number}")
        for name in photos:
            label = re.compile(f"{name}: identity similarity over time", re.IGNORECASE)
            panel.get_by_role("img", name=label).wait_for()
    page.locator("#comparison").get_by_role("img").first.wait_for()
    assert "dlib's face network, licence CC0-1.0." in page.locator("#judge-note").inner_text()
    visit.shots("vace-done")

    visit.choose_model("bundled")
    page.locator("#model-facts", has_text="it comes with idvid").wait_for()
    page.get_by_role("button", name="Load", exact=True).click()
    visit.wait_for_model("idvid-mini is ready.", timeout_s=60)
    assert page.locator("#steps input[type=number]").input_value() == "0"
    page.locator("#vace-options").wait_for(state="hidden")
    visit.choose_model(REPO)
    page.locator("#vace-options").wait_for()
    assert page.locator("#lora textarea").input_value() == "", "hidden, it was forgotten"
    assert not page.locator("#ending").get_by_text("before").count()
    assert not visit.errors
    assert not visit.foreign
    page.close()


def test_the_same_through_the_api(vace_server, photos, clip, tmp_path):
    client = Client(vace_server.url, verbose=False, download_files=tmp_path)
    options = {"lora": f"{LORA}:few-step.safetensors", "adapter": ADAPTER, "cache": "taylorseer"}
    said = client.predict(model=REPO, options=options, api_name="/describe_model")
    assert LORA in said["facts"]["LoRA"]
    assert ADAPTER in said["facts"]["Adapter"]
    for more in ({"quantise": "fp8"}, {"compile": True}):
        refused = client.predict(model=REPO, options=more, api_name="/describe_model")
        assert not refused["fits"]
    job = client.submit(model=REPO, options=options, api_name="/load_model")
    assert job.result(timeout=120)["stage"] == "ready"
    people = [
        {"name": name.capitalize(), "photos": [handle_file(str(file)) for file in files]}
        for name, files in photos.items()
    ]
    settings = {"model": REPO, "num_steps": 1, "extend": handle_file(str(clip)), **options}
    job = client.submit(
        prompt="@Ana talks to @Ben",
        characters=people,
        seconds=1,
        settings=settings,
        api_name="/generate",
    )
    assert job.result(timeout=120)["stage"] == "end"
    stages = [event["stage"] for event in job.outputs()]
    assert stages.count("done") == 1
    assert (
        "dlib's face network, licence CC0-1.0"
        in job.outputs()[stages.index("references")]["message"]
    )


def test_what_is_typed_while_the_server_thinks_stays(browser, vace_server):
    visit = Visit(browser.new_page(), vace_server.url)
    page = visit.page
    visit.open_menu()
    page.locator("#model-facts", has_text="it comes with idvid").wait_for()
    page.get_by_role("button", name="Advanced").click()
    with visit.late_answers() as asked:
        visit.choose_model(REPO)
        asked(REPO)
        visit.set_number("#steps", 2)
    page.locator("#model-facts", has_text="wan-vace").wait_for(timeout=60 * SECOND_MS)
    assert [visit.number("#steps"), visit.number("#guidance")] == ["2", "5"]

    visit.set_number("#steps", 0)
    lora = page.locator("#lora textarea")
    with visit.late_answers() as asked:
        lora.fill(f"{LORA}:few-step.safetensors")
        lora.press("Tab")
        asked("few-step")
        visit.set_number("#steps", 7)
    visit.wait_for_model("Set guidance to 1; change that under Advanced.", timeout_s=30)
    assert [visit.number("#steps"), visit.number("#guidance")] == ["7", "1"]
    assert not visit.errors
    page.close()


def look_before_loading(visit, hub):
    """Licence, size, limits and plan are shown, and nothing but settings was fetched."""
    visit.page.locator("#model-facts", has_text="it comes with idvid").wait_for()
    visit.choose_model(REPO)
    facts = visit.page.locator("#model-facts", has_text="wan-vace")
    facts.wait_for(timeout=60 * SECOND_MS)
    shown = facts.inner_text()
    for said in (
        "apache-2.0, as its page says",
        "kB from the Hub",
        "Up to 4 people",
        "plan cpu takes",
    ):
        assert said in shown, shown
    assert hub.sent[WEIGHTS] == 0
    visit.shot("vace-offer")


def add_parts(visit, clip):
    """A LoRA, an adapter, a cache and a video to go on from; a path of the server is refused."""
    page = visit.page
    page.locator("#ending input[type=file]").set_input_files(clip)
    page.locator("#ending").get_by_text("before").first.wait_for()
    adapter = page.locator("#adapter textarea")
    adapter.fill("/etc")
    adapter.press("Tab")
    refusal = "Name the adapter on the Hub as owner/name"
    page.get_by_test_id("toast-body").get_by_text(refusal).wait_for()
    adapter.fill(ADAPTER)
    name_the_lora(visit, f"{LORA}:few-step.safetensors")
    page.locator("#cache input").click()
    page.get_by_role("option", name="taylorseer").click()
    facts = page.locator("#model-facts", has_text=f"{LORA}: apache-2.0")
    facts.wait_for(timeout=30 * SECOND_MS)
    compiled = page.get_by_label("Compiled blocks")
    compiled.check()
    refusal = "Compiled blocks need a CUDA GPU"
    page.locator("#model-facts", has_text=refusal).wait_for(timeout=30 * SECOND_MS)
    compiled.uncheck()
    facts.filter(has_not_text=refusal).wait_for(timeout=30 * SECOND_MS)
    assert f"{ADAPTER}: apache-2.0" in facts.inner_text()
    page.locator("#judge input").click()
    page.get_by_role("option", name="buffalo_l").click()
    about = page.locator("#judge-about", has_text="for non-commercial research only")
    about.wait_for(timeout=30 * SECOND_MS)
    page.get_by_role("button", name="Download and load").wait_for()
    look_at_options(visit)
    page.locator("#judge input").click()
    page.get_by_role("option", name="bundled").click()
    page.locator("#judge-about", has_text="CC0-1.0").wait_for()


def name_the_lora(visit, name):
    """One for few steps sets steps and guidance, but for what the user chose; others set nothing."""
    page, shown = visit.page, [visit.number("#steps"), visit.number("#guidance")]
    assert shown == ["2", "5"], "typed once, and what suits VACE"
    box = page.locator("#lora textarea")
    for source, said, guidance in (
        (name, "Set guidance to 1; change that under Advanced.", "1"),
        ("", "Set guidance to 5; change that under Advanced.", "5"),
    ):
        box.fill(source)
        box.press("Tab")
        visit.wait_for_model(said, timeout_s=30)
        assert [visit.number("#steps"), visit.number("#guidance")] == ["2", guidance]
    visit.set_number("#steps", 0)
    box.fill(name.replace("few-step", "other"))
    box.press("Tab")
    own = "its name says nothing of few steps"
    page.locator("#model-facts", has_text=own).wait_for(timeout=30 * SECOND_MS)
    assert [visit.number("#steps"), visit.number("#guidance")] == ["0", "5"]
    page.locator("#lora-kind input").click()
    page.get_by_role("option", name="few steps: 4, guidance 1").click()
    visit.wait_for_model("Set steps to 4 and guidance to 1", timeout_s=30)
    page.locator("#lora-kind input").click()
    page.get_by_role("option", name="what its name says").click()
    visit.wait_for_model("Set steps to 0 (what suits the model) and guidance to 5", timeout_s=30)
    box.fill(name)
    box.press("Tab")
    visit.wait_for_model("Set steps to 4 and guidance to 1", timeout_s=30)
    assert [visit.number("#steps"), visit.number("#guidance")] == ["4", "1"]
    visit.shot("vace-lora")
    visit.set_number("#steps", 2)


def look_at_options(visit):
    """Pictures of the part with the options: light, dark and narrow."""
    page = visit.page
    visit.shots("vace-options")
    page.evaluate("document.body.classList.remove('dark')")
    page.set_viewport_size({"width": 1400, "height": 1000})


def cancel_a_slow_download(visit, hub):
    hub.faults.append(Fault(where="GET /storage/*", bytes_per_s=4000))
    visit.press("Download and load")
    visit.wait_for_model("Downloading", timeout_s=30)
    visit.shot("vace-downloading")
    visit.press("Cancel")
    visit.wait_for_model("Cancelled; what arrived is kept", timeout_s=30)
    hub.faults.clear()


def video_size(page, element):
    return page.evaluate(
        "(id) => { const v = document.querySelector(`#${id} video`);"
        " return [v.videoWidth, v.videoHeight] }",
        element,
    )

"""The whole page on a tiny VACE model that a Hub on loopback serves, in Chromium."""

import os
import re
import shutil
from pathlib import Path

import pytest
from hub_server import Fault, LoopbackHub
from visit import PLAYING, SECOND_MS, Visit

from tools.serve import serving

REPO = "tiny/wan-vace"
WEIGHTS = f"/storage/{REPO}/transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, vace_folder):
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(vace_folder, root / REPO)
    (root / REPO / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
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


def test_two_people_two_methods_on_a_model_from_the_hub(browser, vace_server, hub, photos):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    visit = Visit(page, vace_server.url)
    visit.open_menu()
    look_before_loading(visit, hub)
    visit.fill(photos, seconds=1, steps=2)
    assert page.locator("#guidance input[type=number]").input_value() == "5", "what suits VACE"
    visit.press("Generate")
    page.get_by_test_id("toast-body").get_by_text("is not on this machine yet").wait_for()

    cancel_a_slow_download(visit, hub)
    visit.press("Download and load")
    visit.wait_for_model("wan-vace is ready.", timeout_s=120)
    assert "plan " in page.locator("#model-state").inner_text()
    assert "apache-2.0" in page.locator("#model-facts").inner_text()

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
    page.locator("#comparison img").wait_for()
    visit.shot("vace-done")
    page.evaluate("document.body.classList.add('dark')")
    visit.shot("vace-done-dark")
    page.set_viewport_size({"width": 400, "height": 850})
    assert visit.fits()
    visit.shot("vace-done-phone")

    visit.choose_model("bundled")
    page.locator("#model-facts", has_text="it comes with idvid").wait_for()
    page.get_by_role("button", name="Load", exact=True).click()
    visit.wait_for_model("idvid-mini is ready.", timeout_s=60)
    assert page.locator("#steps input[type=number]").input_value() == "0"
    assert not visit.errors
    assert not visit.foreign
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

"""The page in Chromium, as a newcomer uses it. Screenshots stay in artefacts/ui."""

import re
from pathlib import Path

import av
import pytest
from visit import PLAYING, SECOND_MS, Visit


@pytest.fixture
def visit(browser, rendered_server):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    yield Visit(page, rendered_server.url)
    page.close()


def test_two_people_two_methods_from_upload_to_download(browser, page_server, photos, tmp_path):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    visit = Visit(page, page_server.url)
    visit.shot("empty")
    visit.fill(photos, seconds=2, steps=6)
    visit.press("Generate")

    page.wait_for_function(PLAYING, arg="live1", timeout=90 * SECOND_MS)
    assert visit.status().startswith("Step"), "the live video must play before the end"
    page.wait_for_function(PLAYING, arg="live2", timeout=60 * SECOND_MS)
    for number in (1, 2):
        for name in photos:
            label = re.compile(f"{name}: identity similarity over time, now", re.IGNORECASE)
            page.locator(f"#drift{number}").get_by_role("img", name=label).wait_for()
    visit.shot("running")

    visit.wait_for_status("Done.", timeout_s=120)
    for number in (1, 2):
        page.wait_for_function(PLAYING, arg=f"video{number}", timeout=20 * SECOND_MS)
        assert_seeks(page, f"video{number}")
        assert_panel_is_full(page, number, seconds=2)
    assert_video_downloads(page, tmp_path)
    assert_report_downloads(page, tmp_path)
    assert_methods_are_compared(page, photos)
    assert_comparison_downloads(page, tmp_path)

    visit.shots("done")
    assert not visit.errors
    assert not visit.foreign
    page.close()


def test_what_is_typed_into_a_box_that_only_just_opened_stays(visit):
    """However late the browser draws: on a busy machine a frame may take longer than typing."""
    page = visit.page
    page.locator("#model-state", has_text="is ready").wait_for()
    late = "(ms) => { window.requestAnimationFrame = (draw) => setTimeout(draw, ms, 0) }"
    page.evaluate(late, 0.4 * SECOND_MS)
    page.get_by_role("button", name="Advanced").click()
    visit.set_number("#steps", 2)
    page.wait_for_timeout(1.5 * SECOND_MS)
    assert visit.number("#steps") == "2"


def assert_seeks(page, element: str) -> None:
    """The finished video can be played from its middle on."""
    place = page.evaluate(
        """(id) => new Promise((resolve) => {
            const video = document.querySelector(`#${id} video`);
            video.pause();
            video.addEventListener('seeked', () => resolve(video.currentTime), { once: true });
            video.currentTime = 1.5;
        })""",
        element,
    )
    assert place == pytest.approx(1.5, abs=0.1)


def assert_panel_is_full(page, number: int, seconds: int) -> None:
    """One chart per person, and a table with a row per second."""
    panel = page.locator(f"#drift{number}")
    assert panel.locator("path.curve").count() == 2
    panel.get_by_text("The numbers as a table").click()
    per_second = panel.get_by_role("table", name="Mean similarity per second")
    assert per_second.get_by_role("row").count() == seconds + 1
    panel.get_by_text("The numbers as a table").click()


def assert_methods_are_compared(page, photos) -> None:
    """One chart per person with a curve of each method, told apart by colour and dash."""
    panel = page.locator("#comparison")
    for name in photos:
        panel.get_by_role("img", name=re.compile(f"{name}, methods compared", re.I)).wait_for()
    curves = panel.locator("path.curve")
    assert curves.count() == 4
    looks = [curves.nth(i).get_attribute("stroke-dasharray") for i in (0, 1)]
    assert looks[0] != looks[1]
    panel.get_by_text("The numbers as a table").click()
    rows = panel.get_by_role("table", name="Per person and method").get_by_role("row")
    assert rows.count() == 5
    panel.get_by_text("The numbers as a table").click()


def assert_comparison_downloads(page, folder: Path) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Both methods in one figure (PNG)").click()
    assert download.value.suggested_filename == "comparison.png"
    download.value.save_as(folder / "comparison.png")
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


def assert_video_downloads(page, folder: Path) -> None:
    with page.expect_download() as download:
        page.locator("#video2 [aria-label='Download'], #video2 a[download]").first.click()
    download.value.save_as(folder / "video.mp4")
    with av.open(folder / "video.mp4") as video:
        assert video.streams.video[0].frames == 24


def assert_report_downloads(page, folder: Path) -> None:
    with page.expect_download() as download:
        page.locator("#files2").get_by_role("button", name="Report (JSON)").click()
    assert download.value.suggested_filename == "report.json"
    download.value.save_as(folder / "report.json")
    assert '"characters"' in (folder / "report.json").read_text()


def test_stop_keeps_what_is_there_and_frees_the_page(visit, photos):
    visit.fill(photos, seconds=30, steps=20)
    visit.press("Generate")
    visit.page.wait_for_function(PLAYING, arg="live1", timeout=60 * SECOND_MS)
    visit.press("Stop")
    visit.wait_for_status("Stopped. What was finished is kept.", timeout_s=10)
    visit.page.wait_for_function(PLAYING, arg="video1", timeout=20 * SECOND_MS)
    assert visit.page.locator("#go").is_enabled()
    assert not visit.page.locator("#stop").is_enabled()
    assert not visit.errors


def test_closing_the_page_ends_its_run(browser, rendered_server, photos):
    leaving = Visit(browser.new_page(), rendered_server.url)
    leaving.fill(photos, seconds=30, steps=100)
    leaving.press("Generate")
    leaving.wait_for_status("Step", timeout_s=30)
    leaving.page.close()
    staying = Visit(browser.new_page(), rendered_server.url)
    staying.fill(photos, seconds=1, steps=1)
    staying.press("Generate")
    staying.wait_for_status("Done.", timeout_s=30)
    staying.page.close()


def test_mistakes_are_answered_with_a_sentence(visit, photos, tmp_path):
    toast = visit.page.get_by_test_id("toast-body")
    visit.press("Generate")
    toast.get_by_text("There is no character yet").wait_for()

    text_file = tmp_path / "note.jpg"
    text_file.write_text("no picture")
    good = next(iter(photos.values()))[0]
    visit.upload(1, [good, text_file])
    toast.get_by_text("note.jpg is not a picture").wait_for()
    visit.wait_for_photos(1, 1)
    visit.press("Generate")
    toast.get_by_text("Character 1 has photos but no name").wait_for()
    assert not visit.errors


def test_characters_can_be_added_and_removed(visit):
    tabs = visit.page.get_by_role("tab", name=re.compile("Character"))
    assert tabs.count() == 2
    visit.press("Add a character")
    visit.page.get_by_role("tab", name="Character 3").wait_for()
    visit.press("Remove the last")
    visit.page.get_by_role("tab", name="Character 3").wait_for(state="detached")
    assert not visit.errors


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits_a_phone(theme, browser, rendered_server):
    page = browser.new_page(viewport={"width": 400, "height": 850}, color_scheme=theme)
    visit = Visit(page, rendered_server.url)
    assert visit.fits()
    visit.shot(f"phone-{theme}")
    page.close()

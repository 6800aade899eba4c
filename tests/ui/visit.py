"""A page in the browser, used as a person uses it. Screenshots stay in artefacts/ui."""

import re
from contextlib import contextmanager
from pathlib import Path

from tools.serve import ROOT

SHOTS = ROOT / "artefacts" / "ui"
PLAYING = (
    "(id) => { const v = document.querySelector(`#${id} video`);"
    " return v && v.readyState >= 2 && v.currentTime > 0.2 && v.videoWidth > 0 }"
)
SECOND_MS = 1000


class Visit:
    """A page in the browser, with what it complained about."""

    def __init__(self, page, url: str) -> None:
        self.page, self.errors, self.foreign = page, [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)
        page.on("request", self._on_request)
        self.host = re.match(r"https?://[^/]+", url)[0]
        page.goto(url)
        page.get_by_role("button", name="Generate").wait_for()

    def _on_console(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _on_request(self, request) -> None:
        if not request.url.startswith((self.host, "data:", "blob:")):
            self.foreign.append(request.url)

    def fill(self, photos: dict[str, list[Path]], seconds: int, steps: int) -> None:
        """Two people, a prompt, a length and the number of steps."""
        first, second = (name.capitalize() for name in photos)
        for number, (name, files) in enumerate(photos.items(), start=1):
            self.page.get_by_role("tab", name=f"Character {number}").click()
            name_box = self.page.locator(f"#name{number}").get_by_role("textbox")
            name_box.fill(name.capitalize())
            self.upload(number, files)
            self.wait_for_photos(number, len(files))
        self.page.locator("#prompt textarea").fill(f"@{first} talks to @{second} in a garden")
        self.set_number("#seconds", seconds)
        self.page.get_by_role("button", name="Advanced").click()
        self.set_number("#steps", steps)

    def upload(self, number: int, files: list[Path]) -> None:
        self.page.locator(f"#photos{number} input[type=file]").set_input_files(files)

    def wait_for_photos(self, number: int, count: int) -> None:
        loaded = (
            f"[...document.querySelectorAll('#photos{number} img')].filter(i => i.naturalWidth)"
        )
        self.page.wait_for_function(f"{loaded}.length == {count}")

    def set_number(self, where: str, value: int) -> None:
        box = self.page.locator(f"{where} input[type=number]")
        box.fill(str(value))
        box.press("Tab")

    def number(self, where: str) -> str:
        return self.page.locator(f"{where} input[type=number]").input_value()

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def status(self) -> str:
        return self.page.locator("#status [role=status]").inner_text()

    def wait_for_status(self, words: str, timeout_s: float) -> None:
        status = self.page.locator("#status [role=status]", has_text=words)
        status.wait_for(timeout=timeout_s * SECOND_MS)

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def shots(self, name: str) -> None:
        """As it is, in the dark, and dark on a phone, where nothing may stick out; stays so."""
        self.shot(name)
        self.page.evaluate("document.body.classList.add('dark')")
        self.shot(f"{name}-dark")
        self.page.set_viewport_size({"width": 400, "height": 850})
        assert self.fits()
        self.shot(f"{name}-phone")

    def fits(self) -> bool:
        """Nothing sticks out to the right."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )

    @contextmanager
    def late_answers(self):
        """What the page asks within the block reaches the server at its end.

        Gives a function that waits until the page has asked something with certain words in it.
        """
        waiting, asking = [], "**/queue/join*"

        def asked(words: str) -> None:
            for _ in range(1000):
                if any(words in (route.request.post_data or "") for route in waiting):
                    return
                self.page.wait_for_timeout(0.02 * SECOND_MS)
            raise AssertionError(f"the page does not ask for {words}")

        def keep(route) -> None:
            waiting.append(route)

        self.page.route(asking, keep)  # Playwright marks it, which no method of a list lets it
        yield asked
        self.page.unroute(asking)  # which lets those go on that wait

    def open_menu(self) -> None:
        self.page.locator("#model").get_by_role("button", name="Model").first.click()

    def choose_model(self, name: str) -> None:
        """Type a name into the menu, as one does for a model that is not on it."""
        box = self.page.locator("#model-name input")
        box.fill(name)
        box.press("Enter")

    def wait_for_model(self, words: str, timeout_s: float) -> None:
        status = self.page.locator("#model-status [role=status]", has_text=words)
        status.wait_for(timeout=timeout_s * SECOND_MS)

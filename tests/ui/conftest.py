import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rendered_people import RenderedPeopleEngine, loader_of

from idvid.media.image import write_png
from idvid.people import build_person, render_portrait, sample_person
from idvid.types import Character, Scene
from idvid.ui.engine import Engine
from tools.serve import ROOT, Server, serving

TEST_PEOPLE = {"ana": 960_010, "ben": 960_023}


@pytest.fixture(scope="session")
def rendered_server(tmp_path_factory) -> Iterator[Server]:
    """The real page and API; only the pictures come from photos instead of the model."""
    script = Path(__file__).parent / "rendered_people.py"
    with serving(script, tmp_path_factory.mktemp("rendered")) as server:
        yield server


@pytest.fixture(scope="session")
def page_server(tmp_path_factory, request) -> Iterator[Server]:
    """`python app.py` as a user starts it; without bundled weights the page on photos."""
    if not (ROOT / "idvid" / "weights" / "mini" / "model_index.json").is_file():
        yield request.getfixturevalue("rendered_server")
        return
    with serving(ROOT / "app.py", tmp_path_factory.mktemp("bundled")) as server:
        yield server


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> dict[str, list[Path]]:
    """Files with three photos of each of two people, by name."""
    folder = tmp_path_factory.mktemp("photos")
    return {name: render_photos(folder, name, seed) for name, seed in TEST_PEOPLE.items()}


def render_photos(folder: Path, name: str, seed: int) -> list[Path]:
    person = build_person(sample_person(seed))
    files = [folder / f"{name}{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        write_png(render_portrait(person, seed + number, neutral=number == 0).image, file)
    return files


@pytest.fixture(scope="session")
def scene(photos) -> Scene:
    """Two people for a second, which is two windows of `RenderedPeopleEngine`."""
    cast = tuple(
        Character(
            name=name.capitalize(),
            photos=tuple(np.asarray(Image.open(file).convert("RGB")) for file in files),
        )
        for name, files in photos.items()
    )
    first, second = (character.name for character in cast)
    return Scene(
        prompt=f"@{first} talks to @{second} in a garden", characters=cast, seconds=1.0, seed=3
    )


@pytest.fixture
def pipeline() -> RenderedPeopleEngine:
    return RenderedPeopleEngine()


@pytest.fixture
def engine(pipeline) -> Engine:
    """The real face check and drift meter on pictures made of photos."""
    engine = Engine(loader_of(lambda: pipeline))
    engine.start()
    return engine


@pytest.fixture(scope="session")
def browser():
    """Chromium, headless; without one the test is skipped unless IDVID_REQUIRE_BROWSER=1."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    has_playwright = importlib.util.find_spec("playwright") is not None
    if not (found and has_playwright):
        reason = "no chromium (apt-get install --no-install-recommends chromium) or no playwright"
        (pytest.fail if os.environ.get("IDVID_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    from playwright import sync_api

    flags = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=[f"--{flag}" for flag in [*flags.split(), "disable-component-update"]],
        )
        yield browser
        browser.close()

"""The page as a user meets it: `python app.py`, then two people, 4 s, two methods side by side.

    python -m benchmarks.page [--seconds 4]

Prints a Markdown table: seconds from the start of the process to the page and to the loaded models,
seconds of a comparison of `none` and `locks` asked for through the API, and the server's peak memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradio_client import Client, handle_file

from idvid.bench.cast import make_cast
from idvid.bench.photos import USUAL
from idvid.bench.scenes import make_scenes
from idvid.bench.settings import Stage
from idvid.media.image import write_png
from tools.serve import ROOT, Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradio_client.client import Job

    from idvid.types import Scene

METHODS = ["none", "locks"]
ANSWER_LIMIT_S, PEAK_LIMIT_GB = 6, 3
LIMIT_S = 1200
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Moments of one comparison, time.monotonic()."""

    asked: float
    loaded: float
    first_pictures: float
    ended: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the clip")
    scene = request(parser.parse_args().seconds)
    with tempfile.TemporaryDirectory(prefix="idvid-") as folder:
        cast = characters(scene, Path(folder))
        with serving(ROOT / "app.py", Path(folder)) as server:
            times = compare(server, scene, cast, Path(folder))
            print(table(server, scene, times))


def request(seconds: float) -> Scene:
    """A scene with two test people."""
    cast = make_cast(2, USUAL)
    scene = make_scenes(cast, Stage(people=2, pairs=1, trios=0, seconds=seconds))[0]
    return scene.request([member.photos for member in cast], scene.plain_caption())


def characters(scene: Scene, folder: Path) -> list[dict]:
    """The scene's people as the API takes them; their photos become files."""
    cast = []
    for person in scene.characters:
        files = [folder / f"{person.name}{number}.png" for number in range(len(person.photos))]
        for photo, file in zip(person.photos, files, strict=True):
            write_png(photo, file)
        cast.append({"name": person.name, "photos": [handle_file(str(file)) for file in files]})
    return cast


def compare(server: Server, scene: Scene, cast: list[dict], folder: Path) -> Times:
    """Ask for the comparison as soon as the page answers, and watch its events."""
    patience = {"timeout": LIMIT_S}  # a machine under load is slow to answer
    client = Client(server.url, verbose=False, download_files=folder, httpx_kwargs=patience)
    asked = time.monotonic()
    job = client.submit(
        prompt=scene.prompt,
        characters=cast,
        seconds=scene.seconds,
        seed=scene.seed,
        methods=METHODS,
        api_name="/generate",
    )
    loaded = seen(job, lambda event: event["stage"] != "wait")
    first = seen(job, lambda event: event["chunk"] is not None)
    ended = seen(job, lambda event: event["stage"] == "end")
    return Times(asked=asked, loaded=loaded, first_pictures=first, ended=ended)


def seen(job: Job, is_it: Callable[[dict], bool]) -> float:
    """Wait for an event.

    Raises:
        RuntimeError: the run ended without it, or took too long.
    """
    began = time.monotonic()
    while True:
        is_over = job.done()  # asked first, so that no event comes between
        if any(is_it(event) for event in job.outputs()):
            return time.monotonic()
        if is_over or time.monotonic() - began > LIMIT_S:
            raise RuntimeError(f"no such event; the run gave {job.outputs()[-1:]}")
        time.sleep(POLL_S)


def peak_bytes(pid: int) -> int:
    """The most main memory that a process has held (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def table(server: Server, scene: Scene, times: Times) -> str:
    """The figures beside their bounds."""
    start = max(times.asked, times.loaded)  # without the wait for the models
    clip = f"{scene.seconds:g} s of two people, {' and '.join(METHODS)}"
    rows = [
        ("figure", "now", "bound"),
        ("---", "---", "---"),
        ("the page answers after", f"{server.seconds_to_answer:.1f} s", f"{ANSWER_LIMIT_S} s"),
        ("models are loaded after (at most)", f"{times.loaded - server.began:.1f} s", "-"),
        (f"{clip}: first pictures", f"{times.first_pictures - start:.1f} s", "-"),
        (f"{clip}: whole", f"{times.ended - start:.1f} s", "-"),
        (
            "peak memory of the server",
            f"{peak_bytes(server.pid) / 1e9:.2f} GB",
            f"{PEAK_LIMIT_GB} GB",
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()

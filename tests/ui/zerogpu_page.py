"""`python zerogpu_page.py MODEL SCENE`: the page's own runs on a ZeroGPU Space in miniature.

The real wrappers of `spaces`, its forked workers, a tiny VACE model and the real engine and page.
Run by test_ui_zerogpu.py in a process of its own; prints what came back as JSON.
"""

import json
import os
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

from zerogpu_host import asked, become_a_space


def open_engine():
    """As `app.py` does there: the model is in memory before anything else happens."""
    import wan_tiny

    from idvid.pipeline.loader import Loader
    from idvid.pipeline.vace_options import VaceOptions
    from idvid.ui.engine import Engine

    engine = Engine(Loader(VaceOptions(**wan_tiny.VACE_SIZE)))
    engine.start_now()
    assert engine.loader.current is not None, engine.state
    return engine


class Space:
    """The engine of the page, and how much its model computes in this process."""

    def __init__(self, scene, folder):
        self.engine, self.scene, self.folder = open_engine(), scene, folder
        self.passes_here = 0
        transformer = self.engine.loader.current.pipeline.transformer
        transformer.register_forward_hook(self._count)

    def _count(self, *_):
        self.passes_here += 1

    def run(self, *methods, until=None):
        """The events of a run; with `until` it is stopped, as the page stops it, at that event."""
        from idvid.config import GenerationSettings
        from idvid.ui.runs import RunRequest, run

        settings = tuple(GenerationSettings(method=method) for method in methods)
        request = RunRequest(scene=self.scene, settings=settings, num_steps=2, guidance_scale=1.0)
        stop = threading.Event()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for event in run(request, self.engine, folder, stop.is_set):
            yield event
            if until is not None and until(event):
                stop.set()

    def alike(self):
        """Whether frames from a worker are those that this process makes, to the bit."""
        from idvid.config import GenerationSettings
        from idvid.types import WindowDone

        model = self.engine.loader.current
        checked = self.engine.check(self.scene.characters)
        settings = GenerationSettings(method="locks", num_steps=2)
        made = self.engine.make(model, self.scene, checked, (settings,))
        there = [one.event for one in made if isinstance(one.event, WindowDone)]
        here = model.stream(self.scene, checked.references, settings, lambda: False)
        here = [event for event in here if isinstance(event, WindowDone)]
        pairs = zip(there, here, strict=True)
        return all((a.frames == b.frames).all() and a.frames.std() > 0 for a, b in pairs)


def through_the_api(space, scene_file):
    """Stages of a run that a client asks the served page for."""
    from gradio_client import Client, handle_file

    from idvid.ui.page import build, launch_options

    demo = build(space.engine)
    _, url, _ = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options()
    )
    raw = json.loads(scene_file.read_text())
    cast = [
        {
            "name": one["name"],
            "photos": [handle_file(str(scene_file.parent / photo)) for photo in one["photos"][:1]],
        }
        for one in raw["characters"]
    ]
    client = Client(url, verbose=False, download_files=space.folder)
    job = client.submit(
        prompt=space.scene.prompt,
        characters=cast,
        seconds=1,
        methods=["locks"],
        settings={"num_steps": 2, "guidance_scale": 1},
        api_name="/generate",
    )
    last = job.result(timeout=120)
    found = Counter(event["stage"] for event in job.outputs()[:-1]), last["stage"]
    demo.close()
    return found


def refusal(events):
    """The sentence that a run ends with."""
    from idvid.errors import IdvidError

    try:
        list(events)
    except IdvidError as error:
        return [type(error).__name__, str(error)]
    return None


def main(home, model, scene_file):
    become_a_space(home)
    os.environ |= {"IDVID_MODEL": str(model), "IDVID_DEVICE": "cpu"}
    from idvid.scene_file import read_scene
    from idvid.ui.engine import Wish
    from idvid.ui.runs import Chunk, Ended, Finished, Progress

    scene = read_scene(scene_file)
    cast = tuple(replace(one, photos=one.photos[:1]) for one in scene.characters)
    space = Space(replace(scene, characters=cast, seconds=1.0, seed=3), home)
    results = {}

    both = list(space.run("none", "locks"))
    results["chunks"] = [event.method for event in both if isinstance(event, Chunk)]
    results["frames"] = [event.report.frames for event in both if isinstance(event, Finished)]
    results["steps"] = [event.done for event in both if isinstance(event, Progress)]
    results["passes_here"] = space.passes_here

    stopped = list(space.run("locks", until=lambda event: isinstance(event, Chunk)))
    results["stopped"] = [type(event).__name__ for event in stopped[-3:]]
    results["stopped_chunks"] = sum(isinstance(event, Chunk) for event in stopped)
    assert isinstance(stopped[-1], Ended)
    results["released"] = [path for path, _ in asked].count("/release")

    results["refused"] = refusal(space.run("nobody"))
    results["other_model"] = refusal(space.engine.bring(Wish(model="bundled")))
    results["alike"] = space.alike()
    results["api"] = through_the_api(space, scene_file)
    results["passes_here_at_the_end"] = space.passes_here
    results["seconds"] = [float(q["durationSeconds"]) for path, q in asked if path == "/schedule"]
    sys.stdout.write("RESULT" + json.dumps(results))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), Path(sys.argv[1]), Path(sys.argv[2]))

"""A Space in miniature: our task in the real wrappers of `spaces`, against a stand-in for its host.

Run by test_runtime_zerogpu.py in a process of its own; prints what came back as JSON.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from zerogpu_host import asked, become_a_space


def make_task(closed):
    """A run of ours; it leaves a file at `closed` when its generator ends."""
    import numpy as np

    from idvid.errors import ModelError
    from idvid.runtime import Pace, gpu_seconds, gpu_task
    from idvid.types import StepDone, WindowDone

    pace = Pace(step_s=2.0, window_s=5.0, start_s=10.0)

    def seconds(settings, windows, fault=None):
        return gpu_seconds(settings, windows, pace)

    @gpu_task(seconds)
    def generate(settings, windows, fault=None):
        """What a run yields."""
        try:
            yield StepDone(done=1, total=windows)
            for window in range(windows):
                if fault == "ours" and window == 1:
                    raise ModelError("The model does not fit; choose a smaller one.")
                if fault == "path":
                    yield {"chunk": [Path("a.ts")]}
                frames = np.full((2, 4, 4, 3), os.getpid() % 251, np.uint8)
                yield WindowDone(first_frame=2 * window, total_frames=4, fps=12, frames=frames)
        finally:
            closed.write_text("closed")

    return generate


def outcome(generate, settings, fault):
    """The events of a run, who made the frames, and the error that it ended with."""
    from gradio import Error

    from idvid.errors import IdvidError

    events, error = [], None
    try:
        for event in generate(settings, 2, fault):
            events.append(event)
    except (Error, IdvidError) as raised:
        error = [type(raised).__name__, str(raised)]
    windows = [e for e in events if hasattr(e, "frames")]
    return {
        "events": [type(e).__name__ for e in events],
        "pixel": [int(w.frames[0, 0, 0, 0]) for w in windows],
        "own": os.getpid() % 251,
        "error": error,
    }


def leaves(generate, settings, closed):
    """Whether the worker's generator ends when its reader goes away in the middle."""
    closed.unlink()
    events = generate(settings, 50)
    next(events)
    next(events)
    events.close()
    deadline = time.monotonic() + 20
    while not closed.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return closed.exists()


def main(home):
    become_a_space(home)
    from idvid.config import GenerationSettings

    closed = home / "closed"
    generate = make_task(closed)
    plain = GenerationSettings(num_steps=10)
    guided = GenerationSettings(num_steps=10, guidance_scale=5.0)
    results = {name: outcome(generate, plain, name) for name in ("none", "ours", "path")}
    results["stopped"] = leaves(generate, guided, closed)
    results["name"] = generate.__name__, generate.__doc__
    results["seconds"] = [q["durationSeconds"] for path, q in asked if path == "/schedule"]
    results["paths"] = sorted({path for path, _ in asked})
    sys.stdout.write("RESULT" + json.dumps(results))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))

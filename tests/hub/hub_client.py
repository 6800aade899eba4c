"""Our side of a download in a process of its own: JSON questions in, JSON answers out.

`huggingface_hub` reads HF_ENDPOINT and HF_HOME when it is imported, hence the process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICK = {"tries": 3, "first_pause_s": 0.02, "stall_s": 3.0, "longest_wait_s": 1.5}


class Client:
    """A process with a cache and a Hub; asked one question at a time."""

    def __init__(self, url: str, home: Path, **settings: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environment |= {
            "HF_ENDPOINT": url,
            "HF_HOME": str(home),
            "HF_TOKEN": "",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, repo: str, do: str = "fetch", **question: object) -> None:
        self.process.stdin.write(json.dumps({"do": do, "repo": repo, **question}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def ask(self, repo: str, do: str = "fetch", **question: object) -> dict:
        self.start(repo, do, **question)
        return self.answer()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def partials(self, repo: str = "") -> list[Path]:
        """Unfinished contents of a model, or of all, in the cache."""
        folder = f"models--{repo.replace('/', '--')}" if repo else "*"
        return sorted(self.home.glob(f"hub/{folder}/blobs/*.incomplete"))


def respond(question: dict) -> dict:
    """Do what is asked. The heart of the process."""
    import dataclasses
    import time

    from idvid import hub
    from idvid.errors import ModelError

    do, fields = question.pop("do"), ("repo", "revision", "files")
    values = {k: question.pop(k) for k in fields if k in question}
    ref = hub.ModelRef(**{k: tuple(v) if k == "files" else v for k, v in values.items()})
    patience = hub.Patience(**{**QUICK, **question.pop("patience", {})})
    events, started = [], time.monotonic()
    try:
        if do == "fetch":
            folder = _drain(hub.fetch(ref, patience), events, **question)
        elif do == "local_path":
            folder = hub.local_path(ref, on_progress=events.append, **question)
        elif do == "load":
            return _load(ref.repo, **question)
        elif do == "preload":
            folder = _preload(**question)
        elif do == "look_up":
            return {"facts": dataclasses.asdict(hub.look_up(ref, patience))}
        else:
            folder = _stock(ref, **question)
    except ModelError as error:
        return {"error": str(error), "seconds": time.monotonic() - started}
    return {
        "folder": str(folder),
        "files": {
            p.relative_to(folder).as_posix(): p.stat().st_size
            for p in Path(folder or "/nowhere").rglob("*")
            if p.is_file()
        },
        "events": [dataclasses.asdict(event) for event in events],
        "seconds": time.monotonic() - started,
    }


def _drain(steps, events, cancel_at=None):
    """Follow a download to its end, or close it once so many bytes are there."""
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value
        if cancel_at is not None and events[-1].bytes_done >= cancel_at:
            steps.close()
            return ""


def _load(repo, **extras):
    """What the command line says while it brings a model, the model's class, and a run's record."""
    import io
    from contextlib import redirect_stderr

    from idvid.config import GenerationSettings
    from idvid.pipeline.extras import named_extras
    from idvid.pipeline.loader import Loader
    from idvid.pipeline.record import run_record
    from idvid.pipeline.vace_options import VaceOptions
    from idvid.terminal import load_model
    from idvid.types import Scene
    from tests import wan_tiny

    with redirect_stderr(io.StringIO()) as said:
        loader = Loader(VaceOptions(**wan_tiny.VACE_SIZE))
        model = load_model(loader, repo, named_extras(**extras, is_public=True))
    scene = Scene(prompt="a walk", characters=(), seconds=1.0, seed=7)
    settings = model.suited(GenerationSettings(), None, None)
    return {
        "said": said.getvalue(),
        "class": type(model.pipeline).__name__,
        "run": run_record(model, scene, settings),
        "sum": float(model.pipeline.transformer.proj_out.weight.float().abs().sum()),
    }


def _stock(ref, **options):
    """The Hub library's own download."""
    from huggingface_hub import snapshot_download

    return snapshot_download(
        ref.repo, revision=ref.revision, allow_patterns=list(ref.files), **options
    )


def _preload(line):
    """What a Space does while it is built with a line of `preload_from_hub`."""
    from huggingface_hub import hf_hub_download, snapshot_download

    repo, files, commit = (*line.split(), "", "")[:3]
    if not files:
        return snapshot_download(repo)
    paths = [hf_hub_download(repo, file, revision=commit or None) for file in files.split(",")]
    return paths[0].removesuffix(files.split(",")[0]).rstrip("/")


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(respond(json.loads(line))) + "\n")
        sys.stdout.flush()

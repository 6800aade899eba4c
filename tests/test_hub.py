"""Laws of the Hub door, with the real client in its own process against a Hub on loopback.

The client reads HF_ENDPOINT when it is imported, hence the processes.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from idvid.errors import HubError
from idvid.hub import ModelRef, local_path, parse_ref

SHA = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"hello": "hub"}',
    "model.safetensors": bytes(range(256)) * 8,
    "vocab.txt": b"a\nb\n",
    "pytorch_model.bin": b"\x80\x04pickle",
    "modeling_custom.py": b"raise SystemExit('remote code ran')",
    "README.md": b"# card",
}
ASK = """
import json, sys
from idvid.errors import HubError
from idvid.hub import local_path
answers = []
for source, offline in json.loads(sys.argv[1]):
    try:
        folder = local_path(source, offline=offline)
        files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        answers.append({"files": files})
    except HubError as error:
        answers.append({"error": str(error)})
print(json.dumps(answers))
"""


class HubHandler(BaseHTTPRequestHandler):
    """As much of the Hub's interface as fetching a model takes."""

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value):
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).removeprefix("/api/models").strip("/")
        self.server.asked.append(f"{self.command} {path}")
        owner, _, rest = path.partition("/")
        name, _, what = rest.partition("/")
        files = {"config.py": b"1"} if name == "code-only" else FILES
        if owner == "missing":
            self.answer(401, headers={"X-Error-Code": "RepoNotFound"})
        elif owner == "gated":
            self.answer(403, headers={"X-Error-Code": "GatedRepo"})
        elif owner in ("busy", "broken"):
            self.answer(429 if owner == "busy" else 501)
        elif what in ("revision/main", "revision/v1"):
            self.answer_json({"id": f"{owner}/{name}", "sha": SHA, "siblings": []})
        elif what.startswith("revision/"):
            self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        elif what == f"tree/{SHA}":
            oid = {file: hashlib.sha1(data).hexdigest() for file, data in files.items()}
            self.answer_json(
                [
                    {"type": "file", "path": file, "size": len(data), "oid": oid[file]}
                    for file, data in files.items()
                ]
            )
        elif what.removeprefix(f"resolve/{SHA}/") in files:
            data = files[what.removeprefix(f"resolve/{SHA}/")]
            etag = hashlib.sha1(data).hexdigest()
            self.answer(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": SHA})
        else:
            self.answer(404, headers={"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def log_message(self, *args):
        """Keep the test output quiet."""


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port, home, *questions):
    """Each question is (source, offline); one process answers all of them."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions)],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_only_safe_files_are_fetched_then_served_from_the_cache(hub, tmp_path):
    port = hub.server_port
    wanted = {"files": ["config.json", "model.safetensors", "vocab.txt"]}
    answers = ask(port, tmp_path, ("who/mini", False), ("who/mini@v1", False))
    assert answers == [wanted, wanted]
    fetched = [line for line in hub.asked if line.startswith("GET who/mini/resolve")]
    assert sorted(line.rpartition("/")[2] for line in fetched) == wanted["files"]

    hub.asked.clear()
    assert ask(port, tmp_path, ("who/mini", False), ("who/mini", True)) == [wanted, wanted]
    assert hub.asked == []


def test_the_cache_serves_when_nobody_answers(hub, tmp_path):
    ask(hub.server_port, tmp_path, ("who/mini", False))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        cached, offline, absent = ask(
            port, tmp_path, ("who/mini", False), ("who/other", True), ("who/other", False)
        )
    assert cached["files"][0] == "config.json"
    assert "the network is off" in offline["error"]
    assert "check the network" in absent["error"]


def test_every_refusal_of_the_hub_is_one_sentence(hub, tmp_path):
    expected = {
        "missing/model": "has no model missing/model, or it is private",
        "gated/model": "is gated: accept its terms",
        "who/mini@nowhere": "has no revision 'nowhere'",
        "who/code-only": "holds no file of the kinds",
        "busy/model": "limits our rate (429)",
        "broken/model": "answered 501",
        "bad..name/x--y": "is no name of a model",
    }
    answers = ask(hub.server_port, tmp_path, *((source, False) for source in expected))
    for answer, reason in zip(answers, expected.values(), strict=True):
        message = answer["error"]
        assert reason in message
        assert message.endswith(".")
        assert "\n" not in message
        assert str(tmp_path) not in message
        assert "127.0.0.1" not in message


@pytest.mark.parametrize(
    "text", ["", "no-owner", "a/b/c", "../x/y", "/nowhere/at/all", "a/b@", "a b/c"]
)
def test_what_names_no_model_is_refused_without_asking_anybody(text):
    with pytest.raises(HubError, match=r"neither a folder here nor a model"):
        local_path(text)


def test_a_folder_is_itself(tmp_path):
    assert local_path(tmp_path) == local_path(str(tmp_path)) == tmp_path


def test_a_reference_reads_back():
    assert parse_ref("who/mini") == ModelRef(repo="who/mini")
    assert parse_ref("who/mini@refs/pr/1").revision == "refs/pr/1"


@pytest.mark.parametrize("pattern", ["*.bin", "*", "*.py", "*.pkl", "model.safetensors*"])
def test_a_pattern_that_could_fetch_code_is_our_bug(pattern):
    with pytest.raises(AssertionError):
        ModelRef(repo="who/mini", allow_patterns=(pattern,))

"""A Hugging Face Hub on loopback: real folders in, the Hub's routes out, and faults on request.

Serves every ROOT/owner/name as a model and ROOT/owner/name@tag as another revision of it. Small
files are plain git files, weights lie in a storage of another origin behind a redirect, as on the
Hub. Give clients `HF_ENDPOINT=hub.url`; they read it when `huggingface_hub` is imported. By hand:
`python tests/hub_server.py ROOT [PORT]`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".onnx", ".bin", ".pt")
PIECE = 1 << 16  # bytes written at a time


@dataclass
class Fault:
    """One way to misbehave, for requests whose `METHOD path` fits a pattern.

    Paths of weights are those of the storage: `GET /storage/owner/name/file`.
    """

    where: str  # fnmatch pattern of `METHOD /path`, without the query
    times: int = 1_000_000  # how many requests it hits
    status: int = 0  # answer this instead
    headers: tuple[tuple[str, str], ...] = ()  # and these with it
    cut_at: int = -1  # hang up after so many bytes of the body
    short_by: int = 0  # leave out so many bytes at the end, and say so in Content-Length
    stall_at: int = -1  # fall silent after so many bytes of the body
    bytes_per_s: int = 0  # send no faster
    is_damaged: bool = False  # wrong bytes of the right length
    ignores_range: bool = False  # send the whole file, whatever part was asked for


class LoopbackHub:
    """The Hub as a context manager; what it was asked and what it sent can be read afterwards."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.faults: list[Fault] = []
        self.renamed: dict[str, str] = {}  # old owner/name -> new one
        self.gated: set[str] = set()  # owner/name that want a token
        self.claimed_bytes: dict[str, int] = {}  # owner/name/file -> a size that is not true
        self.commits: dict[str, str] = {}  # owner/name -> the commit that it says its main is
        self.asked: list[str] = []  # "METHOD /path", in order
        self.tokens_seen: set[str] = set()  # "authorization" headers that the storage received
        self.sent: Counter[str] = Counter()  # path -> bytes of bodies
        self.closing = threading.Event()
        self._digests: dict[tuple[str, int, int], tuple[str, str]] = {}
        self._servers = [_Server(("127.0.0.1", p), _Handler) for p in (port, 0)]
        for server in self._servers:
            server.hub = self
        self.url, self.storage_url = (f"http://127.0.0.1:{s.server_port}" for s in self._servers)

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def forget(self) -> None:
        """Start a fresh record, and behave."""
        self.faults.clear()
        self.asked.clear()
        self.sent.clear()

    def fault_for(self, request: str) -> Fault:
        """The first fault that fits and is not used up."""
        for fault in self.faults:
            if fault.times > 0 and fnmatchcase(request, fault.where):
                fault.times -= 1
                return fault
        return Fault(where="")

    def folder(self, repo: str, revision: str) -> Path | None:
        """The folder of a revision: a commit, main, or a tag."""
        home = self.root / repo
        candidates = [home, *sorted(home.parent.glob(f"{home.name}@*"))]
        for folder in candidates:
            tag = folder.name.partition("@")[2] or "main"
            if folder.is_dir() and revision in (tag, self.commit(folder)):
                return folder
        return None

    def files(self, folder: Path) -> dict[str, Path]:
        """Path in the repository -> file."""
        found = sorted(p for p in folder.rglob("*") if p.is_file())
        return {p.relative_to(folder).as_posix(): p for p in found}

    def digests(self, file: Path) -> tuple[str, str]:
        """The git object id and the sha256 of a file."""
        stat = file.stat()
        key = (str(file), stat.st_mtime_ns, stat.st_size)
        if key not in self._digests:
            data = file.read_bytes()
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            self._digests[key] = (git, hashlib.sha256(data).hexdigest())
        return self._digests[key]

    def commit(self, folder: Path) -> str:
        """A commit that stands for the folder's content, unless one was given."""
        content = [(name, self.digests(file)) for name, file in self.files(folder).items()]
        made_up = hashlib.sha1(json.dumps([folder.name, content]).encode()).hexdigest()
        return self.commits.get(f"{folder.parent.name}/{folder.name}", made_up)

    def entry(self, folder: Path, name: str, file: Path) -> dict:
        """A file as the tree route lists it."""
        git, sha256 = self.digests(file)
        owner_name = f"{folder.parent.name}/{folder.name}"
        size = self.claimed_bytes.get(f"{owner_name}/{name}", file.stat().st_size)
        entry = {"type": "file", "path": name, "size": size, "oid": git}
        if name.endswith(LFS_SUFFIXES):
            entry["lfs"] = {"oid": sha256, "size": size, "pointerSize": 134}
        return entry


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are what we test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> LoopbackHub:
        return self.server.hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        self.hub.asked.append(request)
        self.fault = self.hub.fault_for(request)
        if self.fault.status:
            self.answer(self.fault.status, headers=dict(self.fault.headers))
        elif path.startswith("/storage/"):
            self.storage(path.removeprefix("/storage/"))
        elif path.startswith("/api/models/"):
            self.api(path.removeprefix("/api/models/"))
        else:
            self.resolve(path.strip("/"))

    do_HEAD = do_GET

    def storage(self, path: str) -> None:
        """Bytes of a large file, without asking who wants them."""
        self.hub.tokens_seen.add(self.headers.get("authorization", ""))
        file = self.hub.root / path
        self.send_file(file, {"ETag": f'"{self.hub.digests(file)[1]}"'})

    def api(self, path: str) -> None:
        owner, name, *rest = path.split("/")
        repo, what = f"{owner}/{name}", rest[0] if rest else ""
        if repo in self.hub.renamed:
            moved = urlsplit(self.path).path.replace(repo, self.hub.renamed[repo], 1)
            self.answer(307, headers={"Location": moved})  # without the query: the harder case
            return
        parts = rest[1:2] if what == "tree" else rest[1:]
        folder = self.hub.folder(repo, "/".join(parts) or "main")
        if folder is None:
            self.refuse_missing(repo)
        elif what == "tree":
            under = "/".join(rest[2:])
            listed = self.hub.files(folder).items()
            entries = [self.hub.entry(folder, n, f) for n, f in listed if n.startswith(under)]
            self.answer_json(entries)
        else:
            self.answer_json(self.info(repo, folder))

    def info(self, repo: str, folder: Path) -> dict:
        """The model's page as JSON; sizes only with `blobs`, as on the Hub."""
        siblings = []
        for name, file in self.hub.files(folder).items():
            entry = self.hub.entry(folder, name, file)
            sibling = {"rfilename": name}
            if "blobs=" in self.path.lower():
                sibling |= {"size": entry["size"], "blobId": entry["oid"]}
                if lfs := entry.get("lfs"):
                    sibling["lfs"] = {**lfs, "sha256": lfs["oid"]}
            siblings.append(sibling)
        card = folder / "README.md"
        words = card.read_text().split() if card.exists() else []
        licence = words[words.index("license:") + 1] if "license:" in words else None
        return {
            "id": repo,
            "modelId": repo,
            "sha": self.hub.commit(folder),
            "siblings": siblings,
            "gated": "auto" if repo in self.hub.gated else False,
            "cardData": {"license": licence} if licence else {},
            "tags": [],
        }

    def resolve(self, path: str) -> None:
        repo, _, rest = path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repo in self.hub.renamed:
            moved = self.path.replace(repo, self.hub.renamed[repo], 1)
            self.answer(307, headers={"Location": moved})
            return
        folder = self.hub.folder(repo, revision)
        if folder is None:
            self.refuse_missing(repo)
            return
        file = self.hub.files(folder).get(name)
        commit = {"X-Repo-Commit": self.hub.commit(folder)}
        if repo in self.hub.gated and "authorization" not in self.headers:
            self.answer(401, headers={"X-Error-Code": "GatedRepo"})
        elif file is None:
            self.answer(404, headers={"X-Error-Code": "EntryNotFound", **commit})
        elif name.endswith(LFS_SUFFIXES):
            stored = file.relative_to(self.hub.root).as_posix()
            linked = {
                "X-Linked-ETag": f'"{self.hub.digests(file)[1]}"',
                "X-Linked-Size": str(self.hub.entry(folder, name, file)["size"]),
                "Location": f"{self.hub.storage_url}/storage/{stored}",
            }
            self.answer(302, headers={**commit, **linked})
        else:
            self.send_file(file, {**commit, "ETag": f'"{self.hub.digests(file)[0]}"'})

    def refuse_missing(self, repo: str) -> None:
        """No such revision, or no such model: the Hub answers strangers 401 to the latter."""
        if (self.hub.root / repo).is_dir():
            self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        else:
            self.answer(401, headers={"X-Error-Code": "RepoNotFound"})

    def answer_json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send_file(self, file: Path, headers: dict[str, str]) -> None:
        data, status = file.read_bytes(), 200
        if self.fault.is_damaged:
            data = bytes(255 - byte for byte in data[:64]) + data[64:]
        asked = self.headers.get("Range", "")
        if asked and not self.fault.ignores_range:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(data):
                self.answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        data = data[: len(data) - self.fault.short_by]
        self.answer(status, data, {"Accept-Ranges": "bytes", **headers})

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_body(body)

    def send_body(self, body: bytes) -> None:
        fault, path = self.fault, unquote(urlsplit(self.path).path)
        piece = max(1, min(PIECE, fault.bytes_per_s // 20)) if fault.bytes_per_s else PIECE
        limits = [at for at in (fault.cut_at, fault.stall_at) if at >= 0]
        end = min([len(body), *limits])
        for start in range(0, end, piece):
            self.hub.sent[path] += self.wfile.write(body[start : min(start + piece, end)])
            if fault.bytes_per_s and self.hub.closing.wait(piece / fault.bytes_per_s):
                break
        if fault.stall_at >= 0:
            self.hub.closing.wait()
        if limits:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep the output quiet."""


if __name__ == "__main__":
    with LoopbackHub(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0) as served:
        sys.stdout.write(f"{served.url}\n")
        sys.stdout.flush()
        threading.Event().wait()

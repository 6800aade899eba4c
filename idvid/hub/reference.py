"""What we ask for: a model on the Hub, a revision, and which of its files.

The law of the kinds: weights as safetensors (ONNX where a face pack names it), settings as JSON,
vocabularies as text or sentencepiece. Pickles and Python files are never fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote

from idvid.errors import HubError

SAFE_SUFFIXES = (".safetensors", ".json", ".txt", ".onnx")
SAFE_NAMES = ("spiece.model", "tokenizer.model")  # sentencepiece; other .model files are pickles
_NAME = r"(?!\.)[\w.-]{1,96}"  # of an owner or a repository; never `..`
_REPO = re.compile(rf"(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>[\w./-]{{1,96}}))?")
_ADDRESS = re.compile(
    rf"https://huggingface\.co/(?P<repo>{_NAME}/{_NAME})"
    r"(?:/(?:blob|resolve)/(?P<revision>[\w.-]{1,96})/(?P<file>[^?#]+)(?:\?download=true)?)?/?"
)
_PATH = re.compile(rf"(?P<repo>{_NAME}/{_NAME})/(?P<file>[^:]+\.safetensors)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model on the Hub, at one revision."""

    repo: str  # owner/name
    revision: str = "main"  # a commit keeps results repeatable
    files: tuple[str, ...] = ("*.safetensors", "*.json", "*.txt", "*spiece.model")
    # paths in the repository; `*` also crosses folders

    def __post_init__(self) -> None:
        unsafe = [p for p in self.files if not p.endswith(SAFE_SUFFIXES + SAFE_NAMES)]
        assert not unsafe, f"patterns that could fetch code: {unsafe}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def named_files(self) -> tuple[str, ...]:
        """The files that are asked for by name and so must be there."""
        return tuple(p for p in self.files if not _WILD & set(p))

    def wants(self, path: str) -> bool:
        """Whether a file of the repository belongs to what is asked for."""
        name = path.rpartition("/")[2]
        is_safe = name.endswith(SAFE_SUFFIXES) or name in SAFE_NAMES
        return is_safe and any(fnmatchcase(path, pattern) for pattern in self.files)


def parse_ref(text: str) -> ModelRef:
    """`owner/name` or `owner/name@revision` as a reference.

    Raises:
        HubError: If it is neither.
    """
    match = _REPO.fullmatch(text)
    if match is None or ".." in (match["revision"] or ""):
        raise HubError(
            f"'{text[:60]}' is neither a folder here nor a model on the Hub; "
            "give a folder or owner/name."
        )
    return ModelRef(repo=match["repo"], revision=match["revision"] or "main")


def split_file(text: str) -> tuple[str, str]:
    """A name, and the one file of it that is meant; the file is empty where none is named.

    Args:
        text: `NAME`, `NAME:FILE`, `owner/name/FILE.safetensors`, or the address of a page or of a
            file on the Hub, as its address bar shows it.

    Raises:
        HubError: If it is an address of another kind or on another host.
    """
    if "://" in text:
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise HubError(
                "Only addresses on the Hub itself are read; give owner/name:FILE.safetensors or "
                "https://huggingface.co/owner/name/blob/main/FILE.safetensors."
            )
        at = f"@{match['revision']}" if match["revision"] not in (None, "main") else ""
        return match["repo"] + at, unquote(match["file"] or "")
    match = _PATH.fullmatch(text)
    if match is not None:
        return match["repo"], match["file"]
    name, _, file = text.partition(":")
    return name, file

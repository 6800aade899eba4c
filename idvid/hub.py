"""A model's name to a folder on this machine; the only user of `huggingface_hub`.

Owns what may come from the Hub: weights as safetensors or ONNX, settings as JSON, vocabularies as
text. Pickles and Python files are never fetched. Where the cache lies and which token is used are
the Hub library's own settings (HF_HOME, HF_TOKEN, HF_ENDPOINT). Does not know what a model is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from idvid.errors import HubError

SAFE_SUFFIXES = (".safetensors", ".json", ".txt", ".onnx")
_REPO = re.compile(r"(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w./-]{1,96}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model on the Hub, at one revision."""

    repo: str  # owner/name
    revision: str = "main"  # a commit keeps results repeatable
    allow_patterns: tuple[str, ...] = ("*.safetensors", "*.json", "*.txt")

    def __post_init__(self) -> None:
        unsafe = [p for p in self.allow_patterns if not p.endswith(SAFE_SUFFIXES)]
        assert not unsafe, f"patterns that could fetch code: {unsafe}"


def parse_ref(text: str) -> ModelRef:
    """`owner/name` or `owner/name@revision` as a reference.

    Raises:
        HubError: If it is neither.
    """
    match = _REPO.fullmatch(text)
    if match is None:
        raise HubError(
            f"'{text[:60]}' is neither a folder here nor a model on the Hub; "
            "give a folder or owner/name."
        )
    return ModelRef(repo=match["repo"], revision=match["revision"] or "main")


def local_path(source: ModelRef | Path | str, offline: bool = False) -> Path:
    """The folder of a model, from the cache if it is there, else fetched.

    A revision that is in the cache is never looked up again: pin a commit, or clear the cache to
    follow a branch.

    Args:
        source: A folder, a reference, or text that names either (see `parse_ref`).
        offline: Never use the network.

    Raises:
        HubError: If the model is missing, private, gated or cannot be fetched.
    """
    if not isinstance(source, ModelRef):
        folder = Path(source)
        if str(source) and folder.is_dir():
            return folder
        source = parse_ref(str(source))
    return _cached(source) or _fetched(source, offline)


def _cached(ref: ModelRef) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            ref.repo,
            revision=ref.revision,
            allow_patterns=list(ref.allow_patterns),
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise HubError(f"'{ref.repo[:60]}' is no name of a model; give owner/name.") from error
    return _with_files(Path(folder), ref)


def _fetched(ref: ModelRef, offline: bool) -> Path:
    if offline:
        raise HubError(
            f"The model {ref.repo} is not on this machine and the network is off; "
            "allow the network once to fetch it."
        )
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            ref.repo, revision=ref.revision, allow_patterns=list(ref.allow_patterns)
        )
    except (HTTPError, OSError, RuntimeError) as error:
        raise HubError(_reason(ref, error)) from error
    found = _with_files(Path(folder), ref)
    if found is None:
        raise HubError(
            f"The model {ref.repo} holds no file of the kinds that we load "
            f"({', '.join(SAFE_SUFFIXES)}); choose a model with safetensors."
        )
    return found


def _with_files(folder: Path, ref: ModelRef) -> Path | None:
    """The folder if any wanted file is in it."""
    has_files = any(path.is_file() for p in ref.allow_patterns for path in folder.rglob(p))
    return folder if has_files else None


def _reason(ref: ModelRef, error: Exception) -> str:
    """One sentence for what the Hub library raised; its own text holds addresses and paths."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"The model {ref.repo} is gated: accept its terms on its page on the Hub, "
            "then set HF_TOKEN to a token of yours."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"The Hub has no model {ref.repo}, or it is private; "
            "check the name, or set HF_TOKEN to a token that may read it."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"The model {ref.repo} has no revision '{ref.revision}'; check the revision."
    return _failure(ref, _status(error))


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error; the Hub library wraps some answers in other errors."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response.status_code
        error = error.__cause__ or error.__context__
    return None


def _failure(ref: ModelRef, status: int | None) -> str:
    if status == 429:
        return (
            f"The Hub limits our rate (429) and did not give {ref.repo}; wait some minutes, "
            "or set HF_TOKEN to a token of yours."
        )
    if status is None:
        return (
            f"The model {ref.repo} is not on this machine and could not be fetched from the Hub; "
            "check the network and the free disk space, then try again."
        )
    return f"The Hub answered {status} for {ref.repo}; try again later."

"""What the Hub says a model holds: names, sizes and checksums of its files, commit and licence."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.errors import HubError
from idvid.hub.patience import Errand, Patience, persist
from idvid.hub.reasons import reason

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

    from idvid.hub.reference import ModelRef

_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_UNSAFE_PATH = re.compile(r"(^|/)(\.\.?)?(/|$)|[\\:\x00]")  # absolute, `..`, empty part, Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a model, as the Hub describes it."""

    path: str  # in the repository
    size_bytes: int
    git_oid: str  # 40 hex digits; of a weight's pointer where sha256 is given
    sha256: str | None  # 64 hex digits; None for small files that lie in git itself

    @property
    def blob(self) -> str:
        """The name of its content in the Hub library's cache."""
        return self.sha256 or self.git_oid

    def new_digest(self) -> hashlib._Hash:
        """What to feed the content to; the result must be `blob`."""
        if self.sha256 is not None:
            return hashlib.sha256()
        # git's object id, not a matter of security
        return hashlib.sha1(b"blob %d\0" % self.size_bytes, usedforsecurity=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A model at one commit."""

    repo: str  # owner/name that it has today
    commit: str  # 40 hex digits
    licence: str | None  # as its card states it
    is_gated: bool
    files: tuple[RemoteFile, ...]  # all of them, wanted or not


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What one may want to know before a download starts."""

    repo: str  # owner/name
    commit: str  # 40 hex digits
    licence: str | None  # as its card states it; None if unknown, or asked without the network
    is_gated: bool  # its terms must be accepted on the Hub first
    total_bytes: int  # of the wanted files
    missing_bytes: int  # of those, still to be fetched


def ask(ref: ModelRef, errand: Errand) -> Listing:
    """Ask the Hub, more than once where it is busy.

    A model that was renamed is followed where a commit pins its content, else it is refused.

    Raises:
        HubError: If it does not say.
        StoppedError: If the errand was called off.
    """
    import httpx2
    from huggingface_hub.errors import HFValidationError

    try:
        info = persist(lambda: _info(ref, errand.patience), errand)
    except (httpx2.HTTPError, HFValidationError, OSError, ValueError, KeyError, TypeError) as error:
        raise reason(error, ref.repo, ref.revision) from error
    return _listing(ref, info)


def _listing(ref: ModelRef, info: ModelInfo) -> Listing:
    if info.id.lower() != ref.repo.lower() and not ref.is_pinned:
        raise HubError(
            f"The model {ref.repo} is now called {info.id} on the Hub; "
            "check that it is still what you want, then use the new name."
        )
    if info.sha is None or info.siblings is None:
        raise HubError(f"The Hub did not say what {ref.repo} holds; try again later.")
    licence = getattr(info.card_data, "license", None)
    return Listing(
        repo=info.id,
        commit=info.sha,
        licence=licence if isinstance(licence, str) else None,
        is_gated=bool(info.gated),
        files=tuple(_file(ref, sibling) for sibling in info.siblings),
    )


def wanted(ref: ModelRef, files: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    """The files that a reference asks for.

    Raises:
        HubError: If there are none, or if one that was named is missing.
    """
    found = tuple(file for file in files if ref.wants(file.path))
    missing = set(ref.named_files) - {file.path for file in found}
    if missing:
        raise HubError(
            f"The model {ref.repo} holds no file {min(missing)} at revision '{ref.revision}'; "
            "check the name of the file and the revision."
        )
    if not found:
        raise HubError(
            f"The model {ref.repo} holds no file of the kinds that we load "
            f"({', '.join(sorted(ref.files))}); choose a model with safetensors."
        )
    return found


def _info(ref: ModelRef, patience: Patience) -> ModelInfo:
    from huggingface_hub import HfApi

    def read(repo: str) -> ModelInfo:
        return HfApi().model_info(
            repo, revision=ref.revision, files_metadata=True, timeout=patience.stall_s
        )

    info = read(ref.repo)
    # a redirect to the new name may have lost what was asked about the files
    return info if info.id == ref.repo else read(info.id)


def _file(ref: ModelRef, sibling: RepoSibling) -> RemoteFile:
    path, oid = sibling.rfilename, sibling.blob_id or ""
    sha256 = None if sibling.lfs is None else sibling.lfs.sha256
    size = sibling.size if sibling.lfs is None else sibling.lfs.size
    if _UNSAFE_PATH.search(path):
        raise HubError(f"The model {ref.repo} holds a file with an unsafe name; do not use it.")
    if size is None or not _HEX.fullmatch(sha256 or oid):
        raise HubError(f"The Hub did not say what {ref.repo} holds; try again later.")
    return RemoteFile(path=path, size_bytes=size, git_oid=oid, sha256=sha256)

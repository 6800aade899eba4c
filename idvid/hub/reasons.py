"""Why the Hub did not give us something, as one sentence; its own texts hold addresses and paths."""

from __future__ import annotations

import errno

from idvid.errors import HubError
from idvid.hub.patience import BrokenOffError, TooSlowError, status_of, wait_asked_s

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def size_text(num_bytes: int) -> str:
    """A number of bytes for people: 512 bytes, 3.4 MB, 28.9 GB."""
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    size, units = float(num_bytes), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while size >= 1000 and unit != "TB":
        size, unit = size / 1000, next(units)
    return f"{size:.1f} {unit}"


def reason(error: Exception, repo: str, revision: str, what: str = "") -> HubError:
    """The sentence for an error of the Hub client, of the network or of the disk.

    Args:
        error: What was raised.
        repo: The model, owner/name.
        revision: The revision that was asked for.
        what: The file on its way, if one was.
    """
    text = _about_the_model(error, repo[:200], revision)
    return HubError(text or _about_the_way(error, f"{what} of {repo}" if what else repo))


def _about_the_model(error: Exception, repo: str, revision: str) -> str | None:
    from huggingface_hub import errors

    sentences: dict[
        type[Exception], str
    ] = {  # a gated model is a kind of missing one: order counts
        errors.GatedRepoError: f"The model {repo} is gated: accept its terms on its page on the "
        "Hub, then set HF_TOKEN to a token of yours.",
        errors.RepositoryNotFoundError: f"The Hub has no model {repo}, or it is private; "
        "check the name, or set HF_TOKEN to a token that may read it.",
        errors.RevisionNotFoundError: f"The model {repo} has no revision '{revision}'; "
        "check the revision.",
        errors.HFValidationError: f"'{repo[:60]}' is no name of a model; give owner/name.",
    }
    return next((text for kind, text in sentences.items() if isinstance(error, kind)), None)


def _about_the_way(error: Exception, subject: str) -> str:
    import httpx2

    if status_of(error) is not None:
        return _refused(error, subject)
    if isinstance(error, OSError) and error.errno in _FULL:
        return (
            f"The disk is full and {subject} does not fit; free some space, "
            "or set HF_HOME to a folder on another disk, and try again to go on."
        )
    sentences: dict[tuple[type[Exception], ...], str] = {
        (TooSlowError, httpx2.TimeoutException): "The Hub answers too slowly to fetch {}; "
        "what arrived is kept, try again later to go on from there.",
        (BrokenOffError, httpx2.ReadError, httpx2.ProtocolError): "The Hub broke off while sending "
        "{}; what arrived is kept, try again to go on from there.",
        (httpx2.HTTPError,): "The Hub could not be reached to fetch {}, which is not on this "
        "machine; check the network and try again.",
        (OSError,): "The cache of the Hub cannot be written, so {} was not fetched; "
        "set HF_HOME to a folder that you may write to.",
    }
    unknown = "The Hub answered in a way that we do not understand for {}; try again later."
    found = (text for kinds, text in sentences.items() if isinstance(error, kinds))
    return next(found, unknown).format(subject)


def _refused(error: Exception, subject: str) -> str:
    status = status_of(error)
    wait_s = wait_asked_s(error)
    wait = "some minutes" if wait_s is None else f"{wait_s:.0f} seconds"
    sentences = {
        401: "The Hub does not accept our token for {}; set HF_TOKEN to a token that may read it.",
        403: "The Hub does not let us read {}; set HF_TOKEN to a token that may read it.",
        404: "The Hub lists {} but does not have it (404); try again later.",
        429: f"The Hub limits our rate (429) and did not give {{}}; wait {wait}, "
        "or set HF_TOKEN to a token of yours.",
    }
    return sentences.get(
        status or 0, f"The Hub answered {status} for {{}}; try again later."
    ).format(subject)

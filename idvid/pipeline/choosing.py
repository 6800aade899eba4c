"""Which models can be chosen, by which names, and which of them `auto` takes here.

Owns names, not files: where a model lies and what it needs are `idvid.pipeline.offers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import HubError, InputError, ModelError
from idvid.hub import CATALOGUE, ModelCard, ModelRef, parse_ref
from idvid.pipeline.extras import NOTHING_ADDED, Extras
from idvid.runtime import asked_model, gib

if TYPE_CHECKING:
    from collections.abc import Callable

    from idvid.runtime import DevicePlan, Machine

DEFAULT, BUNDLED, AUTO = "default", "bundled", "auto"
BUNDLED_TITLE = "idvid-mini"
PHOTOREAL = ("vace-14b", "vace-1.3b")  # what `auto` may take, the best first
MENU = (BUNDLED, *reversed(PHOTOREAL), AUTO)
MAX_NAME_LENGTH = 200
_SLOW = ("encoder-stream", "group-offload", "cpu")  # plans below full speed
_NOT_PUBLIC = (
    f"Choose one of {', '.join((DEFAULT, *MENU))}, or name a model on the Hub as owner/name; "
    "folders are the server's own business."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model that somebody chose."""

    name: str  # as menus and commands name it
    source: ModelRef | Path | None  # where it comes from; None: it is part of idvid
    why: str = ""  # one sentence, where `auto` chose
    extras: Extras = NOTHING_ADDED  # what is added to it

    @property
    def title(self) -> str:
        """Its name for people; never a path."""
        if self.source is None:
            return BUNDLED_TITLE
        full = self.source.repo if isinstance(self.source, ModelRef) else self.source.resolve().name
        return full.rpartition("/")[2][:60]

    def is_same(self, other: Choice) -> bool:
        """Whether it is the same model with the same extras, whatever its name."""
        return (self.source, self.extras) == (other.source, other.extras)

    @property
    def card(self) -> ModelCard | None:
        """What the catalogue says about it."""
        repo = self.source.repo if isinstance(self.source, ModelRef) else None
        cards = (c for c in CATALOGUE if c.kind == "video" and c.ref.repo == repo)
        return next(cards, None)


def choose(name: str, pick: Callable[[], Choice]) -> Choice:
    """The model that the owner of this machine names; folders are theirs to name.

    Args:
        name: Of the menu, a folder, or `owner/name[@revision]` on the Hub.
        pick: Decides for `auto`; see `pick_best`.

    Raises:
        HubError: It is none of these.
        ModelError: IDVID_MODEL is none of these.
    """
    if name == DEFAULT:
        return _owners(asked_model() or BUNDLED, pick)
    listed = _listed(name, pick)
    if listed is not None:
        return listed
    is_folder = bool(name) and Path(name).is_dir()
    return Choice(name=name, source=Path(name) if is_folder else parse_ref(name))


def choose_public(name: str, pick: Callable[[], Choice]) -> Choice:
    """The model that a stranger names; no folder of this machine is opened for them.

    Args:
        name: Of the menu, `default` (what the owner chose), or `owner/name` on the Hub.
        pick: Decides for `auto`; see `pick_best`.

    Raises:
        InputError: It is none of these.
    """
    if name == DEFAULT:
        return choose(name, pick)
    listed = _listed(name, pick)
    if listed is not None:
        return listed
    try:
        return Choice(name=name, source=parse_ref(name))
    except HubError as error:
        raise InputError(_NOT_PUBLIC) from error


def _owners(name: str, pick: Callable[[], Choice]) -> Choice:
    """What IDVID_MODEL says; everybody may read why it is wrong, so the name stays out of it.

    Raises:
        ModelError: It is the name of nothing.
    """
    try:
        return choose(BUNDLED if name == DEFAULT else name, pick)
    except HubError as error:
        raise ModelError(
            f"IDVID_MODEL names no model; set it to one of {', '.join(MENU)}, to a folder, or to "
            "owner/name on the Hub."
        ) from error


def _listed(name: str, pick: Callable[[], Choice]) -> Choice | None:
    """A choice of the menu or the catalogue; its models are pinned under their own names too."""
    if name == AUTO:
        return pick()
    if name in (BUNDLED, DEFAULT):
        return Choice(name=BUNDLED, source=None)
    cards = (c for c in CATALOGUE if c.kind == "video" and name in (c.key, c.ref.repo))
    return next((Choice(name=name, source=card.ref) for card in cards), None)


def pick_best(machine: Machine, plan_of: Callable[[Choice], DevicePlan | None]) -> Choice:
    """The best model for a machine: the largest at full speed, else the smallest that fits.

    Args:
        machine: What is free.
        plan_of: The plan of a photoreal model there; None if it does not fit.
    """
    if not machine.gpu_free:
        return _bundled("there is no CUDA GPU here, and photoreal models need one")
    free = gib(max(machine.gpu_free))
    cards = [Choice(name=c.key, source=c.ref) for k in PHOTOREAL for c in CATALOGUE if c.key == k]
    plans = [(choice, plan) for choice in cards if (plan := plan_of(choice)) and plan.peak_vram]
    fast = [(choice, plan) for choice, plan in plans if plan.name not in _SLOW]
    if fast:
        choice, plan = fast[0]
        because = f"it is the best that runs at full speed in the {free} that are free on the GPU"
    elif plans:
        choice, plan = plans[-1]
        because = (
            f"the {free} that are free on the GPU hold none as a whole, and it is the smallest"
        )
    else:
        return _bundled(f"no photoreal model fits the {free} that are free on the GPU")
    return Choice(
        name=choice.name,
        source=choice.source,
        why=f"auto takes {choice.name}: {because} (plan {plan.name}).",
    )


def _bundled(because: str) -> Choice:
    why = f"auto takes the bundled model: {because}."
    return Choice(name=BUNDLED, source=None, why=why)

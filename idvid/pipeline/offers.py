"""What is to be known of a model before it is fetched or loaded, and how it would lie here.

Nothing of its weights is read or downloaded; of a model that idvid does not know, its settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from idvid import runtime
from idvid.config import MAX_SECONDS
from idvid.errors import HubError, ModelError
from idvid.hub import ModelRef, look_up, size_text
from idvid.pipeline.extras import (
    HUB_PATIENCE,
    Addition,
    Extras,
    added_bytes,
    additions,
    missing_library,
    revision_sentence,
    why_not_compiled,
)
from idvid.pipeline.kinds import MINI_KIND, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from idvid.pipeline.choosing import Choice
    from idvid.pipeline.planning import BarePipeline
    from idvid.pipeline.vace_options import VaceOptions
    from idvid.runtime import DevicePlan, Machine
    from idvid.types import Backend

UNKNOWN = "unknown"  # a licence that nobody told us
_NUM_REFERENCES = 4  # the most that VACE is given, see conditioning.portraits
_WINDOWS = (81, 65, 49, 33)  # frames at once, tried in this order
_COMPILING = (
    "The first step takes tens of seconds longer (36 s on an H100), once more where a window has "
    "another number of frames; the other steps take about a fifth less, which pays from the third "
    "window or video on."
)
_PLAIN = "idvid-mini and its kind take no {}; leave that out, or choose a VACE model."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a model would lie on a machine."""

    kind: str  # MINI_KIND or `kinds.VACE_KIND`
    backend: Backend
    pass_frames: int | None  # made in one pass; None: any number
    options: VaceOptions | None  # of VACE, with windows that fit
    plan: DevicePlan | None  # None: it needs none
    problem: str = ""  # one sentence, where it does not fit
    added: tuple[Addition, ...] = ()  # to VACE, from files of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model with all that one may want to know before choosing it."""

    choice: Choice
    fit: Fit
    licence: str
    total_bytes: int | None  # None: the Hub did not say
    missing_bytes: int | None  # of those, still to be fetched
    silence: str = ""  # why the Hub did not say
    commit: str = ""  # 40 hex digits, of a model of the Hub that is here or that the Hub told of

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Licence, download, limits and plan as pairs of a word and sentences."""
        why = (("Why", self.choice.why),) if self.choice.why else ()
        added = tuple((part.heading, part.sentence) for part in self.fit.added)
        return (
            ("Model", self._model()),
            *why,
            *self._revision(),
            ("Licence", self._licence()),
            *added,
            *self._steps(),
            *self._compiling(),
            ("Download", self._download()),
            ("Limits", self._limits()),
            ("Plan", self.fit.problem or plan_sentence(self.fit.plan)),
        )

    def _model(self) -> str:
        card = self.choice.card
        summary = " A small model of stylised people." if self.choice.source is None else ""
        return f"{self.choice.title}.{f' {card.summary}' if card else summary}"

    def _revision(self) -> tuple[tuple[str, str], ...]:
        source = self.choice.source
        if not isinstance(source, ModelRef) or not self.commit:
            return ()
        return (("Revision", revision_sentence(source, self.commit)),)

    def _licence(self) -> str:
        card = self.choice.card
        if self.licence == UNKNOWN:
            return "Not known here; read it on the model's page on the Hub before you use it."
        if card is None:
            told = ", as its page says" if self.choice.source else ""
            return f"{self.licence}{told}."
        where = f"not in {card.territory}" if card.territory else "no territory excluded"
        return f"{self.licence}, {where}. {card.notice}".strip()

    def _download(self) -> str:
        if not isinstance(self.choice.source, ModelRef) and self.total_bytes == 0:
            where = (
                "comes with idvid" if self.choice.source is None else "is a folder of this machine"
            )
            return f"None; it {where}."
        if self.total_bytes is None:
            return self.silence
        if not self.missing_bytes:
            return f"None; all {size_text(self.total_bytes)} are on this machine."
        return f"{size_text(self.missing_bytes)} of {size_text(self.total_bytes)} from the Hub."

    def _steps(self) -> tuple[tuple[str, str], ...]:
        """What a LoRA changes; other models need no word on it."""
        extras, backend = self.choice.extras, self.fit.backend
        if extras.lora is None or self.fit.options is None:
            return ()
        suits = "as few-step LoRAs want" if extras.is_few_step else "as the model alone"
        said = (
            f"{backend.num_steps} with guidance {backend.guidance_scale:g} and flow shift "
            f"{self.fit.options.shift:g}, {suits}: {extras.why_kind}. Steps and guidance that you "
            "choose go before."
        )
        return (("Steps", said),)

    def _compiling(self) -> tuple[tuple[str, str], ...]:
        """What compiled blocks cost, where they are asked for."""
        is_asked = self.choice.extras.compiled and self.fit.options is not None
        return (("Compiling", _COMPILING),) if is_asked else ()

    def _limits(self) -> str:
        backend, card = self.fit.backend, self.choice.card
        shown = f" (its makers show {card.max_characters})" if card and card.max_characters else ""
        pieces = ""
        if self.fit.pass_frames is not None:
            seconds = self.fit.pass_frames / backend.fps
            pieces = f" in windows of {seconds:.1f} s"
        return (
            f"Up to {backend.max_characters} people{shown}; up to {MAX_SECONDS:g} s{pieces}; "
            f"{backend.width_px}x{backend.height_px} pixels, {backend.fps:g} frames a second."
        )


def plan_sentence(plan: DevicePlan | None) -> str:
    """A plan for people, also where none is needed."""
    return plan.sentence if plan else "It runs on any machine, and no plan is needed."


def describe(choice: Choice, fit: Fit) -> Offer:
    """Add licence and size, for which the Hub is asked; its silence is no error."""
    offer = _alone(choice, fit)
    for part in fit.added:
        offer = replace(
            offer,
            total_bytes=_both(offer.total_bytes, part.total_bytes),
            missing_bytes=_both(offer.missing_bytes, part.missing_bytes),
            silence=offer.silence or part.silence,
        )
    return offer


def _both(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _alone(choice: Choice, fit: Fit) -> Offer:
    """The model without what is added to it."""
    if not isinstance(choice.source, ModelRef):
        licence = "Apache-2.0" if choice.source is None else UNKNOWN
        return Offer(choice=choice, fit=fit, licence=licence, total_bytes=0, missing_bytes=0)
    licence = choice.card.licence if choice.card else UNKNOWN
    try:
        facts = look_up(choice.source, HUB_PATIENCE)
    except HubError as error:
        return Offer(
            choice=choice, fit=fit, licence=licence,
            total_bytes=None, missing_bytes=None, silence=str(error),
        )  # fmt: skip
    return Offer(
        choice=choice,
        fit=fit,
        licence=choice.card.licence if choice.card else facts.licence or UNKNOWN,
        total_bytes=facts.total_bytes,
        missing_bytes=facts.missing_bytes,
        commit=facts.commit,
    )


def fit_here(choice: Choice, machine: Machine, wish: VaceOptions | None) -> Fit:
    """How a model would lie on a machine, in as large windows as fit.

    Args:
        choice: The model, with what is added to it.
        machine: What is free.
        wish: What a VACE model shall make; None: its defaults.

    Raises:
        ModelError: idvid does not run models of this kind.
        HubError: Its settings cannot be fetched.
    """
    kind = MINI_KIND if choice.source is None else kind_of(choice.source)
    if kind == MINI_KIND:
        from idvid.pipeline.backend import MINI

        problem = _refusal(choice.extras)
        return Fit(
            kind=kind, backend=MINI, pass_frames=None, options=None, plan=None, problem=problem
        )
    from idvid.pipeline.vace_options import VaceOptions  # takes seconds to import

    assert choice.source is not None
    options = choice.extras.options(wish or VaceOptions())
    fit = Fit(
        kind=kind,
        backend=options.backend(),
        pass_frames=options.window_frames,
        options=options,
        plan=None,
        added=additions(choice.extras),
    )
    extras = choice.extras
    if runtime.device().type == "mps":  # plans know CUDA and the CPU alone
        return replace(fit, problem=why_not_compiled(extras, None))
    planned = _planned(fit, _bare(choice.source), machine, extras.quantise)
    problem = planned.problem or missing_library(extras.quantise)
    return replace(planned, problem=problem or why_not_compiled(extras, planned.plan))


def _refusal(extras: Extras) -> str:
    """Why a model that is no VACE cannot have these; empty if there are none."""
    asked = [word for word, _ in extras.parts]
    if extras.cache != "none":
        asked.append("cache")
    if extras.compiled:
        asked.append("compiled blocks")
    if extras.quantise != "none":
        asked.append("quantisation")
    return _PLAIN.format(" and no ".join(asked)) if asked else ""


def _planned(fit: Fit, bare: BarePipeline, machine: Machine, quantise: str) -> Fit:
    """The first window size that fits, with its plan; else the reason that the smallest gives."""
    from idvid.models.wan_memory import VideoRequest

    assert fit.options is not None
    wished, problem = fit.options, ""
    for frames in (wished.window_frames, *(n for n in _WINDOWS if n < wished.window_frames)):
        if frames <= wished.kept_frames:
            break
        request = VideoRequest(
            num_frames=frames,
            height=wished.height_px,
            width=wished.width_px,
            num_references=_NUM_REFERENCES,
        )
        try:
            model = bare.footprint(request, added_bytes(fit.added))
            plan = runtime.make_plan(model, machine, quantise)
        except ModelError as error:
            problem = str(error)
            continue
        options = replace(wished, window_frames=frames)
        return replace(fit, options=options, pass_frames=frames, plan=plan)
    return replace(fit, problem=problem)


@lru_cache(maxsize=4)
def _bare(source: ModelRef | Path) -> BarePipeline:
    """Kept, because it takes seconds; it holds no weights."""
    from idvid.pipeline.planning import bare_pipeline

    return bare_pipeline(source)

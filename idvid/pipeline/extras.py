"""What may be added to a VACE model, by name: LoRA, identity adapter, cache, compiling, quantisation.

Owns the names and what they weigh. A stranger's names are of the Hub alone; how the parts get into
a model is `idvid.pipeline.vace_load`.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid import runtime
from idvid.config import CACHES, LORA_GUIDANCE, LORA_KINDS, LORA_STEPS, QUANTISATIONS
from idvid.errors import HubError, InputError
from idvid.hub import ModelRef, Patience, look_up, parse_ref, size_text, split_file
from idvid.pipeline.lora_kind import AUTO, reason_of, wants_few_steps
from idvid.runtime import AddedBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idvid.pipeline.vace_options import VaceOptions
    from idvid.runtime import DevicePlan

LORA, ADAPTER = "LoRA", "adapter"
FEW_STEP_SHIFT = 5.0  # flow shift that few-step LoRAs were trained for
QUANTISERS = {"int8": "torchao", "nf4": "bitsandbytes"}  # the package of each; fp8 needs none
COMPILER = "inductor"  # torch's own, for `extras.compiled`
LAYERS = "identity_layers"  # the part of an adapter that joins the transformer
HUB_PATIENCE = Patience(tries=2, connect_s=5.0, stall_s=10.0, answer_s=20.0)  # somebody is waiting
_WEIGHTS = ".safetensors"
_SEGMENT = r"(?!\.)[^/\\:*?\[\x00-\x1f]+"  # of a path: no `..`, no pattern, no root
_FILE = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*(?<=\.safetensors)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What is added to a VACE model; `named_extras` reads all that has a name."""

    adapter: ModelRef | Path | None = None  # of identity attention
    lora: ModelRef | Path | None = None  # fused
    lora_file: str | None = None  # which file of it; None: the only one
    lora_kind: str = AUTO  # one of `config.LORA_KINDS`
    cache: str = "none"  # one of `config.CACHES`
    compiled: bool = False  # the transformer's blocks
    quantise: str = "none"  # one of `config.QUANTISATIONS`

    @property
    def parts(self) -> tuple[tuple[str, ModelRef | Path], ...]:
        """What has files of its own: a word for it, and where it comes from."""
        named = ((LORA, self.lora), (ADAPTER, self.adapter))
        return tuple((word, source) for word, source in named if source is not None)

    @property
    def is_few_step(self) -> bool:
        """Whether there is a LoRA that few steps without guidance suit."""
        return self.lora is not None and wants_few_steps(self._lora_name, self.lora_kind)

    @property
    def why_kind(self) -> str:
        """Why the LoRA is taken for one of few steps or not, as a part of a sentence."""
        return reason_of(self._lora_name, self.lora_kind)

    @property
    def _lora_name(self) -> str:
        assert self.lora is not None
        full = self.lora.repo if isinstance(self.lora, ModelRef) else self.lora.resolve().name
        return f"{full}/{self.lora_file or ''}"

    def options(self, wish: VaceOptions) -> VaceOptions:
        """What a model with these makes, where `wish` is what is made without."""
        fast = wish if self.cache == "none" else replace(wish, cache=self.cache)
        fast = replace(fast, compile_backend=COMPILER) if self.compiled else fast
        if not self.is_few_step:
            return fast
        return replace(
            fast,
            flow_shift=FEW_STEP_SHIFT,
            num_steps=LORA_STEPS,
            guidance_scale=LORA_GUIDANCE,
        )


NOTHING_ADDED = Extras()


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A part with files of its own, and what is known of it."""

    word: str  # LORA or ADAPTER
    title: str  # for people; never a path
    layer_bytes: int = 0  # of its files, those that join the transformer
    total_bytes: int | None = None  # of its files; None: the Hub did not say
    missing_bytes: int | None = None  # of those, still to be fetched
    licence: str | None = None  # as its page states it; None: unknown
    silence: str = ""  # why the Hub did not say
    revision: str = ""  # which commit it is, in a sentence; empty for a folder

    @property
    def heading(self) -> str:
        """The word at the beginning of a line."""
        return self.word[0].upper() + self.word[1:]

    @property
    def sentence(self) -> str:
        """The part for people: its name, licence and size."""
        if self.total_bytes is None:
            return f"{self.title}, not counted in the plan: {self.silence}"
        licence = self.licence or "licence not known here, read it on its page"
        here = "on this machine" if not self.missing_bytes else "from the Hub"
        return f"{self.title}: {licence}; {size_text(self.total_bytes)} {here}. {self.revision}".strip()


def named_extras(
    *,
    lora: str = "",
    lora_kind: str = AUTO,
    adapter: str = "",
    cache: str = "none",
    quantise: str = "none",
    is_public: bool = False,
) -> Extras:
    """The extras that somebody names.

    Args:
        lora: `owner/name[@revision]` on the Hub or a folder, and `:FILE` where it holds several; or
            `owner/name/FILE.safetensors`, or the file's address on the Hub, or a file of this machine.
        lora_kind: One of `config.LORA_KINDS`.
        adapter: The same as `lora`, without a file.
        cache: One of `config.CACHES`.
        quantise: One of `config.QUANTISATIONS`.
        is_public: A stranger names them: no folder of this machine is opened, nor asked for.

    Raises:
        InputError: A name is of the wrong form.
        HubError: It is neither a folder here nor a name of the Hub.
    """
    _one_of("kind of the LoRA", lora_kind, LORA_KINDS)
    _one_of("cache", cache, CACHES)
    _one_of("quantisation", quantise, QUANTISATIONS)
    name, file = _split(lora, is_public)
    if file and not _FILE.fullmatch(file):
        raise InputError(
            f"The LoRA's file must be a path inside it that ends in {_WEIGHTS}; give "
            f"owner/name:FILE{_WEIGHTS}."
        )
    source = _source(LORA, name, is_public) if name else None
    if isinstance(source, ModelRef):  # a page of LoRAs may hold hundreds of them
        source = replace(source, files=(file or f"*{_WEIGHTS}",))
    return Extras(
        lora=source,
        lora_file=file or None,
        lora_kind=lora_kind if source else AUTO,
        adapter=_source(ADAPTER, adapter, is_public) if adapter else None,
        cache=cache,
        quantise=quantise,
    )


def missing_library(quantise: str) -> str:
    """Why this machine cannot quantise so, in a sentence; empty if it can."""
    library = QUANTISERS.get(quantise)
    if library is None or importlib.util.find_spec(library) is not None:
        return ""
    return (
        f"{quantise} weights need the package {library}, which is not installed; run "
        f"pip install {library}, or choose fp8 or none."
    )


def why_not_compiled(extras: Extras, plan: DevicePlan | None) -> str:
    """Why blocks cannot be compiled here, in a sentence; empty if they can or need not be.

    Args:
        extras: What is asked for.
        plan: How the model would lie here; None: on no CUDA GPU.
    """
    if not extras.compiled:
        return ""
    if runtime.on_zero_gpu():
        return (
            "A ZeroGPU Space would compile again for every video, which takes longer than it saves; "
            "leave compile out, or duplicate the Space onto a GPU of its own."
        )
    if plan is None or not plan.peak_vram:
        return "Compiled blocks need a CUDA GPU, and this would run without one; leave compile out."
    return _why_not_on_gpu(extras, plan)


def _why_not_on_gpu(extras: Extras, plan: DevicePlan) -> str:
    if extras.quantise != "none":
        return (
            f"Compiled blocks are not known to work with {extras.quantise} weights; leave out compile or "
            "quantise."
        )
    if not plan.is_whole:
        return (
            f"Compiled blocks need the whole transformer on one GPU, and plan {plan.name} has only "
            "parts of it there; leave compile out, or ask for a smaller size or model."
        )
    if not runtime.has_c_compiler():
        return "Compiled blocks need a C compiler; install gcc, or leave compile out."
    return ""


def additions(extras: Extras) -> tuple[Addition, ...]:
    """What is known of the parts; the Hub is asked where they are not here, its silence no error."""
    return tuple(_addition(word, source, extras) for word, source in extras.parts)


def added_bytes(parts: tuple[Addition, ...]) -> AddedBytes:
    """What the parts take in memory beside a model's own components, as far as it is known."""
    layers = sum(part.layer_bytes for part in parts)
    total = sum(part.total_bytes or 0 for part in parts)
    return AddedBytes(layers=layers, beside=total - layers)


def title_of(source: ModelRef | Path) -> str:
    """A part's name for people; never a path."""
    return source.repo if isinstance(source, ModelRef) else source.resolve().name[:60]


def revision_sentence(source: ModelRef, commit: str) -> str:
    """Which commit a model of the Hub is, and how to ask for the same again."""
    if source.is_pinned:
        return f"Commit {commit}, which never changes."
    return f"{source.revision} is commit {commit} here; {source.repo}@{commit} names it for good."


def _split(lora: str, is_public: bool) -> tuple[str, str]:
    """The name and the file of a LoRA; a file of this machine goes before one of the Hub."""
    path = Path(lora)
    if not is_public and path.is_file():
        return str(path.parent), path.name
    return split_file(lora)


def _source(word: str, name: str, is_public: bool) -> ModelRef | Path:
    if not is_public:
        return Path(name) if Path(name).is_dir() else parse_ref(name)
    try:
        return parse_ref(name)
    except HubError as error:
        raise InputError(
            f"Name the {word} on the Hub as owner/name; folders are the server's own business."
        ) from error


def _one_of(word: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"The {word} must be one of {', '.join(known)}.")


def _addition(word: str, source: ModelRef | Path, extras: Extras) -> Addition:
    known = Addition(word=word, title=title_of(source))
    if isinstance(source, Path):
        layers, total = (sum(_sizes(source, extras, each)) for each in (_layers_of(word), "**/*"))
        return replace(known, layer_bytes=layers, total_bytes=total, missing_bytes=0)
    try:
        facts = look_up(source, HUB_PATIENCE)
        layers = 0
        if word == ADAPTER:
            only = replace(source, files=(f"{LAYERS}/*{_WEIGHTS}",))
            layers = look_up(only, HUB_PATIENCE).total_bytes
    except HubError as error:
        return replace(known, silence=str(error))
    return replace(
        known,
        layer_bytes=layers,
        total_bytes=facts.total_bytes,
        missing_bytes=facts.missing_bytes,
        licence=facts.licence,
        revision=revision_sentence(source, facts.commit),
    )


def _layers_of(word: str) -> str:
    """A pattern for the files that join the transformer; a LoRA is fused and leaves none."""
    return f"{LAYERS}/*" if word == ADAPTER else ""


def _sizes(folder: Path, extras: Extras, pattern: str) -> Iterator[int]:
    """Bytes of the weights in a folder; of a LoRA's, those of the chosen file alone."""
    only = extras.lora_file if folder == extras.lora else None
    for file in folder.glob(pattern) if pattern else ():
        if file.suffix == _WEIGHTS and only in (None, file.relative_to(folder).as_posix()):
            yield file.stat().st_size

"""The arms of the GPU benchmark: ways to run one transformer, and how each is timed.

Arms take turns, so that a GPU that grows warm or is shared slows all of them alike.
"""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from idvid.conditioning.regions import bands
from idvid.errors import IdvidError
from idvid.models.wan_attach import attach_identity, detach_identity
from idvid.models.wan_attention import WanIdentity
from idvid.models.wan_identity import WanIdentityLayers
from idvid.pipeline.vace_options import VaceOptions, speed_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.gpu_models import Size

TOKENS = 16  # of identity per person
_STOCK = VaceOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to run a transformer."""

    name: str
    people: int | None = None  # None: identity layers are not attached
    options: VaceOptions = _STOCK
    steps: int = 1  # denoising steps per run, two passes each

    @property
    def may_be_missing(self) -> bool:
        """Whether it needs a kernel or a compiler that not every machine has."""
        options = self.options
        return options.attention_backend is not None or options.compile_backend is not None


@dataclass(slots=True)
class Timing:
    """What an arm took."""

    seconds: list[float] = field(default_factory=list)  # per step
    peak_bytes: int = 0  # of GPU memory that tensors took; 0 on a CPU
    failure: str = ""  # why it was left out

    @property
    def median(self) -> float | None:
        """Seconds per step; None if it was left out."""
        return statistics.median(self.seconds) if self.seconds else None


def arms_of(size: Size, backends: Sequence[str]) -> tuple[Arm, ...]:
    """Every arm, the stock model first."""
    cache = VaceOptions(cache="taylorseer")
    compiled = VaceOptions(compile_backend=size.compile_backend)
    return (
        Arm(name="stock"),
        Arm(name="identity, people: 0", people=0),
        *(Arm(name=f"identity, people: {count}", people=count) for count in (1, 2, 4)),
        *(Arm(name=f"attention {b}", options=VaceOptions(attention_backend=b)) for b in backends),
        Arm(name="stock, many steps", steps=size.cached_steps),
        Arm(name="TaylorSeer", options=cache, steps=size.cached_steps),
        Arm(name="compiled", options=compiled),
        Arm(name="compiled, identity, people: 2", people=2, options=compiled),
    )


def time_in_turn(
    transformer: Any,  # noqa: ANN401 - Wan's transformer
    values: dict[str, Any],
    arms: Sequence[Arm],
    size: Size,
    repeats: int,
) -> dict[str, Timing]:
    """Run every arm `repeats` times after one run that is not counted, in turn."""
    timings = {arm.name: Timing() for arm in arms}
    for repeat in range(repeats + 1):
        for arm in arms:
            timing = timings[arm.name]
            if timing.failure:
                continue
            try:
                seconds, peak = _run(transformer, values, arm, size)
            except (IdvidError, RuntimeError, ImportError, ValueError) as error:
                timing.failure = (
                    f"left out: {type(error).__name__}"  # a kernel or compiler is missing
                )
                continue
            if repeat:
                timing.seconds.append(seconds / arm.steps)
                timing.peak_bytes = max(timing.peak_bytes, peak)
    return timings


def measured(device: torch.device, run: Callable[[], object]) -> tuple[float, int]:
    """Seconds and peak bytes of GPU memory of one run."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    run()
    if on_gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    return seconds, torch.cuda.max_memory_allocated(device) if on_gpu else 0


def operations(transformer: Any, values: dict[str, Any]) -> int:  # noqa: ANN401
    """Operations of one step, two passes; a multiply-add counts as two."""
    with FlopCounterMode(display=False) as counter:
        _step(transformer, values, None)
    return counter.get_total_flops()


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int, repeats: int = 20) -> float:
    """Operations per second of a large matrix product: the ceiling that a model can reach."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def products() -> None:
        for _ in range(repeats):
            torch.matmul(a, b)

    measured(device, products)
    return 2 * side**3 * repeats / measured(device, products)[0]


def _run(
    transformer: Any,  # noqa: ANN401
    values: dict[str, Any],
    arm: Arm,
    size: Size,
) -> tuple[float, int]:
    device = values["hidden_states"].device
    with _prepared(transformer, arm, size):
        identity = _identity(values, arm.people, size) if arm.people else None

        def steps() -> None:
            transformer._reset_stateful_cache()
            for _ in range(arm.steps):
                _step(transformer, values, identity)

        if arm.options.compile_backend is not None:
            steps()  # compiles; graphs of earlier turns are found again
        return measured(device, steps)


@contextmanager
def _prepared(transformer: Any, arm: Arm, size: Size) -> Iterator[None]:  # noqa: ANN401
    """The transformer as the arm wants it, and as it was afterwards."""
    if arm.people is not None:
        attach_identity(transformer, _layers(transformer, size))
    try:
        speed_up(transformer, arm.options)
        yield
    finally:
        for module in transformer.modules():
            module._compiled_call_impl = None
        if arm.options.cache != "none":
            transformer.disable_cache()
        if arm.options.attention_backend is not None:
            transformer.set_attention_backend("native")  # diffusers remembers the last for all
            transformer.reset_attention_backend()
        detach_identity(transformer)


def _layers(transformer: Any, size: Size) -> WanIdentityLayers:  # noqa: ANN401
    config = transformer.config
    layers = WanIdentityLayers(
        dim=config.num_attention_heads * config.attention_head_dim,
        id_dim=size.id_dim,
        layer_ids=list(range(len(transformer.blocks))),
    )
    for layer in layers.layers:
        torch.nn.init.ones_(layer.gate)
    return layers.requires_grad_(False)


def _identity(values: dict[str, Any], people: int, size: Size) -> WanIdentity:
    latents = values["hidden_states"]
    tokens = torch.randn(1, people, TOKENS, size.id_dim, device=latents.device, dtype=latents.dtype)
    grid = (size.request.latent_frames, size.request.height // 16, size.request.width // 16)
    return WanIdentity(tokens={"cond": tokens}, regions=bands(people, grid).to(latents.device))


@torch.no_grad()
def _step(transformer: Any, values: dict[str, Any], identity: WanIdentity | None) -> None:  # noqa: ANN401
    """Both branches of guidance."""
    attention = None if identity is None else {"identity": identity}
    for branch in ("cond", "uncond"):
        with transformer.cache_context(branch):
            transformer(**values, attention_kwargs=attention, return_dict=False)

"""The arms of the GPU benchmark: ways to run one transformer, and how a pass is measured."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers.hooks.hooks import HookRegistry
from torch.utils.flop_counter import FlopCounterMode

from idvid.conditioning.regions import bands
from idvid.models.wan_attach import COMPILED, attach_identity, detach_identity
from idvid.models.wan_attention import WanIdentity
from idvid.models.wan_identity import WanIdentityLayers
from idvid.pipeline.vace_options import VaceOptions, speed_up
from idvid.runtime import AddedBytes, with_added

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.gpu_models import Size
    from idvid.runtime import Footprint

TOKENS = 16  # of identity per person
_STOCK = VaceOptions()
_COMPILE_WORKERS = 4  # the lent machine's cores are busy with other work


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to run a transformer."""

    name: str
    people: int | None = None  # None: identity layers are not attached
    gate: float = 1.0  # of the identity layers; 0 must leave the picture alone
    options: VaceOptions = _STOCK


def kernel_arm(backend: str) -> Arm:
    """The stock model with one of diffusers' attention kernels."""
    return Arm(name=f"attention {backend}", options=VaceOptions(attention_backend=backend))


def people_arm(count: int, gate: float = 1.0) -> Arm:
    """The stock model with identity layers that read so many people."""
    name = f"identity, people: {count}"
    return Arm(name=name if gate else f"{name}, gates shut", people=count, gate=gate)


def compiled_arm(size: Size, kernel: str | None, people: int | None = None) -> Arm:
    """Compiled, with the attention kernel that is to be used."""
    options = VaceOptions(attention_backend=kernel, compile_backend=size.compile_backend)
    words = ("compiled", kernel, people and f"people: {people}")
    return Arm(name=", ".join(w for w in words if w), people=people, options=options)


@contextmanager
def prepared(transformer: Any, arm: Arm, size: Size) -> Iterator[None]:  # noqa: ANN401 - Wan's
    """The transformer as the arm wants it, and as it was afterwards."""
    if arm.options.compile_backend is not None:
        _prepare_compiler()
    try:
        if arm.people is not None:
            with transformer.device:  # on a GPU their values cost nothing
                layers = identity_layers(transformer, size)
            for layer in layers.layers:
                torch.nn.init.constant_(layer.gate, arm.gate)
            attach_identity(transformer, layers.requires_grad_(False))
        speed_up(transformer, arm.options)
        yield
    finally:
        _restore(transformer)


@torch.no_grad()
def one_pass(
    transformer: Any,  # noqa: ANN401
    values: dict[str, Any],
    identity: WanIdentity | None = None,
) -> torch.Tensor:
    """One forward pass with the prompt; guidance would add another, without identity."""
    attention = None if identity is None else {"identity": identity}
    with transformer.cache_context("cond"):
        return transformer(**values, attention_kwargs=attention, return_dict=False)[0]


@contextmanager
def shortened(transformer: Any, blocks: int = 1, hints: int = 2) -> Iterator[None]:  # noqa: ANN401
    """The transformer with its first blocks alone: enough to load and choose every kernel.

    VACE makes its hints in blocks of their own, of which the first has a projection more.
    """
    kept = {name: getattr(transformer, name, None) for name in ("blocks", "vace_blocks")}
    try:
        transformer.blocks = kept["blocks"][:blocks]
        if kept["vace_blocks"] is not None:
            transformer.vace_blocks = kept["vace_blocks"][:hints]
        yield
    finally:
        for name, every in kept.items():
            if every is not None:
                setattr(transformer, name, every)
        registry = HookRegistry.check_if_exists_or_initialize(transformer)
        registry.invalidate_child_registries_cache()  # it remembers the few


def identity_of(values: dict[str, Any], people: int | None, size: Size) -> WanIdentity | None:
    """Random tokens of so many people, each in a band of the picture."""
    if not people:
        return None
    latents = values["hidden_states"]
    tokens = torch.randn(1, people, TOKENS, size.id_dim, device=latents.device, dtype=latents.dtype)
    references = size.request.num_references if "control_hidden_states" in values else 0
    frames, rows, columns = latents.shape[2:]
    regions = bands(people, (frames - references, rows // 2, columns // 2))
    return WanIdentity(tokens={"cond": tokens}, regions=regions.to(latents.device))


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


def held(device: torch.device) -> int:
    """Bytes of GPU memory that tensors hold now."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def counted(transformer: Any, values: dict[str, Any]) -> tuple[int, str]:  # noqa: ANN401
    """Operations of one pass, a multiply-add being two, and the attention kernels it used.

    Blocks of a kind are alike, so a few are run and the others counted like the last.
    """
    few, kernels = _counted(transformer, values, 1, 2)
    block = _counted(transformer, values, 2, 2)[0] - few
    hint = _counted(transformer, values, 1, 3)[0] - few
    hints = len(getattr(transformer, "vace_blocks", ()))
    return few + (len(transformer.blocks) - 1) * block + max(0, hints - 2) * hint, kernels


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int, repeats: int = 20) -> float:
    """Operations per second of a large matrix product: the ceiling that a model can reach."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def products() -> None:
        for _ in range(repeats):
            torch.matmul(a, b)

    measured(device, products)
    return 2 * side**3 * repeats / measured(device, products)[0]


def relative(made: torch.Tensor, true: torch.Tensor) -> float:
    """|made - true| / |true|."""
    made, true = made.float(), true.float()
    return float((made - true).norm() / true.norm())


def _counted(
    transformer: Any,  # noqa: ANN401
    values: dict[str, Any],
    blocks: int,
    hints: int,
) -> tuple[int, str]:
    with shortened(transformer, blocks, hints), FlopCounterMode(display=False) as counter:
        one_pass(transformer, values)
    kernels = {str(op) for op in counter.get_flop_counts().get("Global", {})}
    return counter.get_total_flops(), ", ".join(sorted(k for k in kernels if "attention" in k))


def _prepare_compiler() -> None:
    """One graph per shape, room for every arm's graph, and few workers."""
    import torch._dynamo.config as tracing
    import torch._inductor.config as making

    tracing.automatic_dynamic_shapes = False
    tracing.recompile_limit = 64
    making.compile_threads = _COMPILE_WORKERS


def _restore(transformer: Any) -> None:  # noqa: ANN401
    if transformer.is_cache_enabled:
        transformer.disable_cache()
    for module in transformer.modules():
        if hasattr(vars(module).get("forward"), COMPILED):
            del module.forward
    transformer.set_attention_backend("native")  # diffusers remembers the last for all
    transformer.reset_attention_backend()
    detach_identity(transformer)


def identity_layers(transformer: Any, size: Size) -> WanIdentityLayers:  # noqa: ANN401
    """The identity layers that fit a transformer, on the device in use."""
    config = transformer.config
    return WanIdentityLayers(
        dim=config.num_attention_heads * config.attention_head_dim,
        id_dim=size.id_dim,
        layer_ids=list(range(len(transformer.blocks))),
    )


def with_identity(footprint: Footprint, transformer: Any, size: Size) -> Footprint:  # noqa: ANN401
    """A model and what identity layers add to it."""
    with torch.device("meta"):
        layers = identity_layers(transformer, size)
    numbers = sum(weight.numel() for weight in layers.parameters())
    added = AddedBytes(layers=numbers * transformer.dtype.itemsize)
    return with_added(footprint, added, len(transformer.blocks))

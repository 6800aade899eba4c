"""A device plan carried out on a diffusers pipeline, with the tools of diffusers and accelerate.

Order is law: adapters attach first, then the plan is applied, then anything is compiled. Weights
that join a module after its blocks are streamed or dispatched would stay where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from diffusers.hooks.group_offloading import apply_group_offloading
from diffusers.hooks.hooks import HookRegistry
from diffusers.hooks.layerwise_casting import apply_layerwise_casting
from torch import nn

from idvid.errors import ModelError
from idvid.models.sizes import fp8_skip_patterns, streams_by_block
from idvid.pipeline.extras import QUANTISERS, missing_library
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    from idvid.runtime import DevicePlan

_CPU = torch.device("cpu")
_STREAM_HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")


def load_arguments(plan: DevicePlan) -> dict[str, Any]:
    """What to give `from_pretrained` so that the weights arrive as the plan counts them.

    Raises:
        ModelError: If the library that quantises is not installed.
    """
    dtypes = {"default": getattr(torch, plan.precision), VAE: torch.float32}
    if plan.quantise not in QUANTISERS:
        return {"dtype": dtypes}
    if problem := missing_library(plan.quantise):
        raise ModelError(problem)
    from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig

    mapping = _int8_configs() if plan.quantise == "int8" else _nf4_configs()
    return {
        "dtype": dtypes,
        "quantization_config": PipelineQuantizationConfig(quant_mapping=mapping),
    }


def apply_plan(
    pipeline: DiffusionPipeline, plan: DevicePlan, device: torch.device | None = None
) -> None:
    """Place every component by the plan; an earlier placement is taken back first.

    Args:
        pipeline: Loaded with `load_arguments`, adapters attached.
        plan: What to do.
        device: Where to compute; default: the plan's GPU, or the CPU if it has none.

    Raises:
        ModelError: If a transformer that is to be split does not fit on the GPUs.
    """
    if device is None:
        device = torch.device("cuda", plan.gpu) if plan.peak_vram else _CPU
    parts = {n: m for n, m in pipeline.components.items() if isinstance(m, nn.Module)}
    _take_back(pipeline, parts)
    if plan.quantise == "fp8":
        store_in_fp8(parts)
    if plan.layout.tiled:
        parts[VAE].enable_tiling()  # pyright: ignore[reportCallIssue]
    elif hasattr(parts[VAE], "disable_tiling"):
        parts[VAE].disable_tiling()  # pyright: ignore[reportCallIssue]
    if plan.layout.shares:
        _split(parts, plan, device)
    elif len(plan.layout.groups) > 1:
        _take_turns(parts, plan, device)
    else:
        _stay(parts, plan, device)


def split_map(transformer: nn.Module, plan: DevicePlan) -> dict[str, int]:
    """On which GPU each block of a transformer lies.

    Raises:
        ModelError: If it does not fit on them.
    """
    names = transformer._no_split_modules
    placed = infer_auto_device_map(
        transformer,
        max_memory=dict(enumerate(plan.layout.shares)),
        no_split_module_classes=names,  # pyright: ignore[reportArgumentType]
    )
    if not all(isinstance(gpu, int) for gpu in placed.values()):
        raise ModelError(
            f"{plan.model} does not fit on {len(plan.layout.shares)} GPUs as planned, perhaps "
            "because adapters were attached; ask for fewer frames or a smaller size."
        )
    return placed  # pyright: ignore[reportReturnType]


class Turn(ModelHook):
    """Before a component computes, the components of other groups leave the GPU.

    diffusers' own model offload moves a component away when the next one in a fixed order starts.
    VACE runs the VAE before and after the transformer, so that order leaves the text encoder on
    the GPU while the VAE encodes; this hook does not depend on the order.
    """

    def __init__(self, device: torch.device, rivals: tuple[nn.Module, ...]) -> None:
        self.execution_device = device  # diffusers reads it to place inputs
        self.rivals = rivals

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401 - accelerate's signature
        """Make room, come in, and take the inputs along."""
        moved = [rival for rival in self.rivals if _place_of(rival) != _CPU]
        for rival in moved:
            rival.to(_CPU)
        if moved and torch.cuda.is_available():
            torch.cuda.empty_cache()
        if _place_of(module) != self.execution_device:
            module.to(self.execution_device)
        there = send_to_device((args, kwargs), self.execution_device)
        return there[0], there[1]


def take_turn(part: nn.Module) -> None:
    """Bring a component in, if it takes turns, before what it is to be given is made on the GPU.

    A whole video made beside the text encoder would be more than the plan counts.
    """
    hook = getattr(part, "_hf_hook", None)
    if isinstance(hook, Turn):
        hook.pre_forward(part)


def _take_back(pipeline: DiffusionPipeline, parts: dict[str, nn.Module]) -> None:
    """Undo an earlier placement: all on the CPU, no hooks but those that cast."""
    pipeline.remove_all_hooks()
    for part in parts.values():
        for module in part.modules():
            if hasattr(module, "_diffusers_hook"):
                registry = HookRegistry.check_if_exists_or_initialize(module)
                for name in _STREAM_HOOKS:
                    registry.remove_hook(name, recurse=False)
        for name in ("to", "cuda"):  # accelerate covers these where it dispatched
            vars(part).pop(name, None)
        part.to(_CPU)


def _stay(parts: dict[str, nn.Module], plan: DevicePlan, device: torch.device) -> None:
    """Everything on the device for good, but for what is streamed."""
    for name, part in parts.items():
        if name in plan.layout.streamed:
            _stream(part, plan, device)
        else:
            part.to(device)


def _stream(part: nn.Module, plan: DevicePlan, device: torch.device) -> None:
    by_block = streams_by_block(part)
    apply_group_offloading(
        part,
        onload_device=device,
        offload_device=_CPU,
        offload_type="block_level" if by_block else "leaf_level",
        num_blocks_per_group=1 if by_block else None,
        use_stream=device.type == "cuda",
        low_cpu_mem_usage=not plan.layout.pins,
    )


def _take_turns(parts: dict[str, nn.Module], plan: DevicePlan, device: torch.device) -> None:
    """One group on the device at a time; each component comes in when it is called."""
    for group in plan.layout.groups:
        rivals = tuple(part for name, part in parts.items() if name not in group)
        for name in group:
            add_hook_to_module(parts[name], Turn(device, rivals))


def _split(parts: dict[str, nn.Module], plan: DevicePlan, device: torch.device) -> None:
    for name, part in parts.items():
        if name != TRANSFORMER:
            part.to(device)
    transformer = parts[TRANSFORMER]
    placed: dict[str, Any] = dict(split_map(transformer, plan))
    dispatch_model(transformer, placed)


def store_in_fp8(parts: dict[str, nn.Module]) -> None:
    """Weights of text encoder and transformer in fp8, computed with in bfloat16; done once."""
    stored = torch.float8_e4m3fn
    for part in (parts[TEXT_ENCODER], parts[TRANSFORMER]):
        if not any(p.dtype == stored for p in part.parameters()):
            apply_layerwise_casting(part, stored, torch.bfloat16, fp8_skip_patterns(part))


def _place_of(part: nn.Module) -> torch.device:
    return next(_tensors(part)).device


def _tensors(part: nn.Module) -> Iterator[torch.Tensor]:
    yield from part.parameters()
    yield from part.buffers()


def _int8_configs() -> dict[str, Any]:
    from diffusers.quantizers.quantization_config import TorchAoConfig as DiffusersConfig
    from torchao.quantization import (  # pyright: ignore[reportMissingImports]
        Int8WeightOnlyConfig,
    )
    from transformers import TorchAoConfig

    return {
        TRANSFORMER: DiffusersConfig(Int8WeightOnlyConfig()),
        TEXT_ENCODER: TorchAoConfig(Int8WeightOnlyConfig()),
    }


def _nf4_configs() -> dict[str, Any]:
    from diffusers.quantizers.quantization_config import BitsAndBytesConfig as DiffusersConfig
    from transformers import BitsAndBytesConfig

    options: dict[str, Any] = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.bfloat16,
    }
    return {
        TRANSFORMER: DiffusersConfig(**options),
        TEXT_ENCODER: BitsAndBytesConfig(**options),
    }

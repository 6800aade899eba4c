"""The VACE backend made ready: weights, LoRA, identity adapter, place, speed - in this order.

LoRAs are fused first (nothing remains of them at run time), identity layers are attached before
the weights move, and what compiles or caches comes last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.transformers.transformer_wan_vace import WanVACETransformer3DModel
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from idvid import runtime
from idvid.errors import ModelError
from idvid.hub import ModelRef, local_path
from idvid.models.wan_adapter import load_wan_adapter
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_compiled import uncompile
from idvid.pipeline.vace_options import VaceOptions, speed_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from idvid.runtime import DevicePlan

_NO_LONGER_COMPILED = "Its blocks are no longer compiled, for that plan moves them in parts."

Source = ModelRef | Path | str


@dataclass(frozen=True, slots=True, kw_only=True)
class VaceModel:
    """Which weights make up the backend; each a folder, `owner/name` or a reference."""

    base: Source  # Wan-AI/Wan2.1-VACE-1.3B-diffusers or 14B
    adapter: Source | None = None  # of identity attention
    lora: Source | None = None  # fused
    lora_file: str | None = None  # which file of it; None: the only one


def load_vace(
    model: VaceModel,
    options: VaceOptions | None = None,
    settle: Callable[[IdVidVacePipeline], object] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> IdVidVacePipeline:
    """Load the backend, ready to generate.

    Args:
        model: its weights.
        options: size, windows, speed.
        settle: puts the weights where they will stay (a device plan); None: all on the device.
        arguments: how the weights are read (a device plan's `load_arguments`); None: in the
            precision that suits the device.

    Raises:
        ModelError: a part is missing, damaged, of another kind or does not fit.
        HubError: the Hub did not give it.
    """
    options = options or VaceOptions()
    device = runtime.device()
    pipeline = read_vace(local_path(model.base), runtime.dtype(device), arguments)
    config: Any = pipeline.scheduler.config
    pipeline.scheduler = UniPCMultistepScheduler.from_config(
        config,
        flow_shift=options.shift,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
    )
    pipeline.options = options
    if model.lora is not None:
        fuse_lora(pipeline, local_path(model.lora), model.lora_file)
    if model.adapter is not None:
        pipeline.attach(load_wan_adapter(local_path(model.adapter)))
    if settle is None:
        pipeline.to(device)
    else:
        settle(pipeline)
    speed_up(pipeline.transformer, options)
    return pipeline


def place_again(pipeline: IdVidVacePipeline, plan: DevicePlan) -> str:
    """Move the weights to where another plan wants them, and be fast again there.

    Returns:
        a sentence on what is not as fast as before; empty if all is.

    Raises:
        ModelError: a transformer that is to be split does not fit on the GPUs.
    """
    if pipeline.transformer.is_cache_enabled:
        pipeline.transformer.disable_cache()  # its hooks would lie below those of the plan
    loses = pipeline.options.compile_backend is not None and not plan.is_whole
    if loses:
        uncompile(pipeline)
    apply_plan(pipeline, plan)
    speed_up(pipeline.transformer, pipeline.options)
    return _NO_LONGER_COMPILED if loses else ""


def fuse_lora(pipeline: IdVidVacePipeline, folder: Path, file: str | None = None) -> None:
    """Add a LoRA to the transformer's weights for good.

    Args:
        pipeline: before identity layers are attached and weights are moved.
        folder: holds the safetensors file.
        file: its name; None: the only one there.

    Raises:
        ModelError: there is no such file, or it is no LoRA of this model.
    """
    files = [file] if file else sorted(p.name for p in folder.glob("*.safetensors"))
    if len(files) != 1 or not (folder / files[0]).is_file():
        raise ModelError(
            f"The LoRA has {len(files)} files of weights to choose from; name the one to use."
        )
    wrong = "The LoRA does not fit this model; choose one that was made for Wan2.1 of its size."
    try:
        pipeline.load_lora_weights(str(folder), weight_name=files[0], use_safetensors=True)
        is_used = any("lora" in name for name, _ in pipeline.transformer.named_parameters())
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
    except (ValueError, KeyError, RuntimeError, AttributeError, OSError) as error:
        raise ModelError(wrong) from error
    if not is_used:
        raise ModelError(wrong)


def read_vace(
    folder: Path, dtype: torch.dtype, arguments: Mapping[str, Any] | None = None
) -> IdVidVacePipeline:
    """The stock components; the autoencoder stays in float32, as its authors advise.

    Args:
        folder: in the Hub's format.
        dtype: of the transformer and the text encoder.
        arguments: for `from_pretrained`, instead of `dtype`.

    Raises:
        ModelError: files are missing, damaged or of another kind of model.
    """
    wrong = "The model's files are damaged or not those of Wan2.1 VACE; download the model again."
    try:
        how = arguments or {"dtype": {"default": dtype, runtime.VAE: torch.float32}}
        pipeline = IdVidVacePipeline.from_pretrained(folder, **how)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise ModelError(wrong) from error
    if not isinstance(pipeline.transformer, WanVACETransformer3DModel):
        raise ModelError(wrong)
    if pipeline.transformer_2 is not None:
        raise ModelError("This is a two-stage Wan2.2 model; choose a Wan2.1 VACE model.")
    for part in (pipeline.transformer, pipeline.text_encoder, pipeline.vae):
        part.eval().requires_grad_(False)
    return pipeline

"""Quantised plans of the GPU benchmark, loaded as the product loads them, from files of zeros.

Peaks do not depend on what weights are. The files are full of holes, so that writing them takes no
time, and they are read straight onto the GPU, where quantising is quick; the product reads them into
main memory first.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline, ModelMixin, WanVACEPipeline

from benchmarks.gpu_arms import held
from benchmarks.gpu_models import build
from benchmarks.gpu_plans import Trial, carry_out, footprint_of, whole_plan
from benchmarks.gpu_record import clear
from benchmarks.gpu_scene import scheduler, tokenizer
from idvid.pipeline.extras import QUANTISERS, missing_library
from idvid.pipeline.placement import load_arguments, store_in_fp8
from idvid.pipeline.vace_load import read_vace
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from benchmarks.gpu_held import Models
    from benchmarks.gpu_models import Size
    from idvid.runtime import DevicePlan

_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16"}  # in safetensors
_META = torch.device("meta")


def quantised(models: Models) -> None:
    """The plan of the whole card in fp8, int8 and nf4, as far as their libraries are here."""
    models.free()
    bare = parts_of(models.size, models.small, _META)
    footprint = footprint_of(models.small, bare, models.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_holes(bare, folder)
        for kind in ("fp8", *QUANTISERS):
            if problem := missing_library(kind):
                models.record.leave_out(f"plan in {kind}", problem)
                continue
            _either(models, whole_plan(footprint, models.device, kind), folder)


def parts_of(size: Size, model: str, device: torch.device) -> dict[str, nn.Module]:
    """A model's components in the precisions that the product reads them in."""
    dtypes = {TEXT_ENCODER: torch.bfloat16, TRANSFORMER: torch.bfloat16, VAE: torch.float32}
    return {name: build(size.models[model][name], device, dtype) for name, dtype in dtypes.items()}


def save_holes(parts: Mapping[str, nn.Module], folder: Path) -> None:
    """A VACE pipeline's folder in the Hub's format, whose weights are zeros that take no place."""
    index: dict[str, Any] = {"_class_name": WanVACEPipeline.__name__}
    for name, part in parts.items():
        index[name] = _kind(part)
        stem = "diffusion_pytorch_model" if isinstance(part, ModelMixin) else "model"
        _save_config(part, folder / name)
        _save_zeros(part, folder / name / f"{stem}.safetensors")
    for name, part in {"tokenizer": tokenizer(), "scheduler": scheduler()}.items():
        index[name] = _kind(part)
        part.save_pretrained(folder / name)
    (folder / DiffusionPipeline.config_name).write_text(json.dumps(index), "utf-8")


def _either(models: Models, plan: DevicePlan, folder: Path) -> None:
    """Placed by the product, or where the weights were read if these cannot be moved."""
    guesses = models.size.guesses
    expected = guesses.loading + guesses.coding / 2 + guesses.first_pass / 2
    for is_placed in (False, True):
        what = f"plan {plan.name} in {plan.quantise}{', not moved' if is_placed else ''}"
        why = models.record.attempt(
            what, expected, lambda p=is_placed: _carry_out(models, plan, folder, is_placed=p)
        )
        clear()
        if not why or why.startswith("no time"):
            return


def _carry_out(models: Models, plan: DevicePlan, folder: Path, *, is_placed: bool) -> None:
    beside = held(models.device)
    shared = _built_in_fp8(models) if plan.quantise == "fp8" else _read(models, plan, folder)
    trial = Trial(plan=plan, shared=shared, is_placed=is_placed, beside=beside)
    carry_out(models.record, trial, models.size, models.device)


def _built_in_fp8(models: Models) -> dict[str, Any]:
    """Cast on the GPU, where that takes no time; `apply_plan` would do the same on the CPU."""
    parts = parts_of(models.size, models.small, models.device)
    store_in_fp8(parts)
    return {**parts, "tokenizer": tokenizer(), "scheduler": scheduler()}


def _read(models: Models, plan: DevicePlan, folder: Path) -> dict[str, Any]:
    arguments = load_arguments(plan) | {"device_map": models.device.type}
    return dict(read_vace(folder, torch.bfloat16, arguments).components)


def _kind(part: Any) -> list[str]:  # noqa: ANN401 - a component
    return [type(part).__module__.partition(".")[0], type(part).__name__]


def _save_config(part: Any, folder: Path) -> None:  # noqa: ANN401
    if isinstance(part, ModelMixin):
        part.save_config(folder)
    else:
        part.config.save_pretrained(folder)


def _save_zeros(part: nn.Module, path: Path) -> None:
    """A safetensors file: the length of its header, the header, and a hole where the values are."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in part.named_parameters():  # buffers are made anew
        start, end = end, end + tensor.numel() * tensor.element_size()
        shape, dtype = list(tensor.shape), _NAMES[tensor.dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)

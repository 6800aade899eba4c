"""Lynx's public adapters for Wan2.1 T2V 14B, read by name into our layers (Sang et al. 2025).

A folder of `ByteDance/lynx` holds `resampler`, `ip_layers` and, in the full one, `ref_layers`, each
as safetensors without a config: all sizes are read off the weights. The face vectors it was trained
with are ArcFace's IR-SE50, which is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from idvid.errors import ModelError
from idvid.models.lynx_resampler import LynxResampler
from idvid.models.wan_identity import WanIdentityLayers
from idvid.models.wan_reference import WanReferenceLayers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    Weights = Mapping[str, Tensor]

REPO = "ByteDance/lynx"
REFERENCE_PROMPT = "image of a face"  # what the recording pass of the reference layers reads
HEAD_WIDTH = 64  # of the resampler; the only size that its weights do not tell
_Model = TypeVar("_Model", bound="nn.Module")


@dataclass(frozen=True, slots=True, kw_only=True)
class LynxKind:
    """One of the two public adapters."""

    name: str
    key: str  # in the catalogue of `idvid.hub`, which knows where it lies and its licence
    folder: str  # in the repository
    stride: int  # identity is read in every so many blocks
    bias: bool  # of the identity layers' projections
    own_k_norm: bool  # keys are normalised by the layer, not by the block
    has_reference: bool  # brings reference layers


FULL = LynxKind(
    name="full",
    key="lynx-full",
    folder="lynx_full",
    stride=1,
    bias=True,
    own_k_norm=False,
    has_reference=True,
)
LITE = LynxKind(
    name="lite",
    key="lynx-lite",
    folder="lynx_lite",
    stride=2,
    bias=False,
    own_k_norm=True,
    has_reference=False,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LynxAdapter:
    """Everything between a face vector, a face picture and Wan's attention."""

    resampler: LynxResampler
    identity_layers: WanIdentityLayers  # for `attach_identity`
    reference_layers: WanReferenceLayers | None  # for `attach_reference`

    def tokens(self, faces: Tensor) -> dict[str, Tensor]:
        """Identity tokens per branch of guidance, for `WanIdentity`.

        Args:
            faces: (C, 512) of ArcFace's IR-SE50, unit norm, one per character.

        Returns:
            "cond" and "uncond" (that of a zero vector, as Lynx has it), each (1, C, K, D).
        """
        own = self.resampler(faces[:, None])
        nobody = self.resampler(torch.zeros_like(faces[:1, None])).expand_as(own)
        return {"cond": own[None], "uncond": nobody[None]}


def load_lynx(folder: Path, kind: LynxKind, head_width: int = HEAD_WIDTH) -> LynxAdapter:
    """Read an adapter, frozen, in the precision of its files.

    Args:
        folder: A snapshot of the repository, or the adapter's folder in it.
        kind: `FULL` or `LITE`; it is not guessed.
        head_width: Of the resampler's attention.

    Raises:
        ModelError: A file is missing or damaged, or a weight is missing, unexpected or of another
            shape.
    """
    inside = folder / kind.folder
    folder = inside if inside.is_dir() else folder
    resampler = resampler_of(_read(folder / "resampler.safetensors", kind), head_width)
    layers = identity_layers_of(_read(folder / "ip_layers.safetensors", kind), kind)
    made, read = resampler.config["output_dim"], layers.config["id_dim"]
    if made != read:
        raise ModelError(
            f"Lynx's resampler makes tokens of {made} numbers and its layers read {read}; "
            "take both from the same adapter."
        )
    reference = None
    if kind.has_reference:
        reference = reference_layers_of(_read(folder / "ref_layers.safetensors", kind))
    return LynxAdapter(resampler=resampler, identity_layers=layers, reference_layers=reference)


def resampler_of(weights: Weights, head_width: int = HEAD_WIDTH) -> LynxResampler:
    """The resampler of Lynx's names; errors as for `load_lynx`."""
    _, num_queries, width = _shape(weights, "latents", 3)
    inner, _ = _shape(weights, "layers.0.0.to_q.weight", 2)
    hidden, _ = _shape(weights, "layers.0.1.1.weight", 2)
    with torch.device("meta"):
        resampler = LynxResampler(
            dim=width,
            depth=1 + max(int(name.split(".")[1]) for name in weights if _is_layer(name)),
            dim_head=head_width,
            heads=max(inner // head_width, 1),
            num_queries=num_queries,
            embedding_dim=_shape(weights, "proj_in.weight", 2)[1],
            output_dim=_shape(weights, "proj_out.weight", 2)[0],
            ff_mult=max(hidden // width, 1),
        )
    return _filled(resampler, weights)


def identity_layers_of(weights: Weights, kind: LynxKind) -> WanIdentityLayers:
    """The identity layers of Lynx's names, their gates open; errors as for `load_lynx`."""
    width, id_dim = _shape(weights, "0.to_k_ip.weight", 2)
    count = _count(weights)
    registers = _shape(weights, "0.registers", 3)[1] if "0.registers" in weights else 0
    with torch.device("meta"):
        layers = WanIdentityLayers(
            dim=width,
            id_dim=id_dim,
            layer_ids=list(range(0, count * kind.stride, kind.stride)),
            bias=kind.bias,
            n_registers=registers,
            own_k_norm=kind.own_k_norm,
        )
    like = weights["0.to_k_ip.weight"]
    gates = {f"layers.{i}.gate": like.new_ones(1) for i in range(count)}  # Lynx has none
    return _filled(layers, {f"layers.{name}": value for name, value in weights.items()} | gates)


def reference_layers_of(weights: Weights) -> WanReferenceLayers:
    """The reference layers of Lynx's names; errors as for `load_lynx`."""
    width, _ = _shape(weights, "0.to_k_ref.weight", 2)
    with torch.device("meta"):
        layers = WanReferenceLayers(dim=width, num_layers=_count(weights))
    return _filled(layers, {f"layers.{name}": value for name, value in weights.items()})


def _read(file: Path, kind: LynxKind) -> dict[str, Tensor]:
    if not file.is_file():
        raise ModelError(f"Lynx {kind.name} lacks its file {file.name}; download it again.")
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The file {file.name} of Lynx {kind.name} is damaged; download it again."
        ) from error


def _is_layer(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "layers" and len(parts) > 1 and parts[1].isdecimal()


def _count(weights: Weights) -> int:
    """How many layers there are; a name without a number is refused later, as unexpected."""
    firsts = {name.split(".")[0] for name in weights}
    return 1 + max(int(first) for first in firsts if first.isdecimal())


def _shape(weights: Weights, name: str, rank: int) -> tuple[int, ...]:
    if name not in weights or weights[name].ndim != rank:
        raise ModelError(
            f"The file is not of Lynx: '{name}' is missing or has another form; "
            f"take it from {REPO}."
        )
    return tuple(weights[name].shape)


def _filled(model: _Model, weights: Weights) -> _Model:
    """The model, made without memory, with these weights as its own: all by name, none left."""
    wanted = model.state_dict()
    missing, unexpected = sorted(wanted.keys() - weights), sorted(weights.keys() - wanted.keys())
    if missing or unexpected:
        what = f"'{missing[0]}' is missing" if missing else f"'{unexpected[0][:80]}' is unexpected"
        raise ModelError(
            f"{len(missing) + len(unexpected)} weights are not those of Lynx: {what}; "
            f"take the file from {REPO}."
        )
    odd = [name for name in sorted(wanted) if wanted[name].shape != weights[name].shape]
    if odd:
        raise ModelError(
            f"Lynx's weight '{odd[0]}' has the shape {list(weights[odd[0]].shape)}, we expect "
            f"{list(wanted[odd[0]].shape)}; take the file from {REPO}."
        )
    model.load_state_dict(dict(weights), assign=True)
    return model.eval().requires_grad_(False)

"""Arithmetic of Wan with and without identity attention: `python -m benchmarks.wan_flops`.

Counts the operations of one forward pass of the public configurations on the meta device: no
weights, no GPU. Two characters of 16 identity tokens of width 768 with regions, every block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from torch.utils.flop_counter import FlopCounterMode

from idvid.models.wan_attach import attach_identity
from idvid.models.wan_attention import WanIdentity
from idvid.models.wan_identity import WanIdentityLayers

CHARACTERS, TOKENS, ID_DIM = 2, 16, 768
TEXT_TOKENS = 512
SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "text_dim": 4096}
LARGE = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40, "text_dim": 4096}
# The configurations of Wan-AI/Wan2.1-{T2V,VACE}-{1.3B,14B}-Diffusers
MODELS = {
    "T2V-1.3B": (WanTransformer3DModel, SMALL),
    "T2V-14B": (WanTransformer3DModel, LARGE),
    "VACE-1.3B": (WanVACETransformer3DModel, SMALL | {"vace_layers": list(range(0, 30, 2))}),
    "VACE-14B": (WanVACETransformer3DModel, LARGE | {"vace_layers": list(range(0, 40, 5))}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """Operations of one forward pass; a multiply-add counts as two."""

    model: str
    base: int
    with_identity: int

    @property
    def extra(self) -> float:
        """Extra share of arithmetic, 0..1."""
        return self.with_identity / self.base - 1


def count(model: str, width: int = 832, height: int = 480, num_frames: int = 81) -> Flops:
    """Count one forward pass of a public configuration."""
    build, sizes = MODELS[model]
    with torch.device("meta"):
        transformer = build(attention_head_dim=128, in_channels=16, out_channels=16, **sizes)
        layers = WanIdentityLayers(
            dim=sizes["num_attention_heads"] * 128,
            id_dim=ID_DIM,
            layer_ids=list(range(sizes["num_layers"])),
        )
        frames, rows, columns = (num_frames - 1) // 4 + 1, height // 8, width // 8
        values = {
            "hidden_states": torch.empty(1, 16, frames, rows, columns),
            "timestep": torch.empty(1, dtype=torch.long),
            "encoder_hidden_states": torch.empty(1, TEXT_TOKENS, 4096),
        }
        if "vace_layers" in sizes:
            values["control_hidden_states"] = torch.empty(1, 96, frames, rows, columns)
            values["control_hidden_states_scale"] = torch.empty(len(sizes["vace_layers"]))
        identity = WanIdentity(
            tokens={"cond": torch.empty(1, CHARACTERS, TOKENS, ID_DIM)},
            regions=torch.empty(1, CHARACTERS, frames, rows // 2, columns // 2),
        )
    base = _count(transformer, values)
    attach_identity(transformer, layers)
    more = _count(transformer, values | {"attention_kwargs": {"identity": identity}})
    return Flops(model=model, base=base, with_identity=more)


def _count(transformer: torch.nn.Module, values: dict[str, object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        transformer(**values)
    return counter.get_total_flops()


def main() -> None:
    """Print one line per model."""
    print("model      TFLOP per step  with identity    extra")
    for model in MODELS:
        found = count(model)
        base, more = found.base / 1e12, found.with_identity / 1e12
        print(f"{model:10} {base:14.2f} {more:14.2f} {found.extra:8.4%}")


if __name__ == "__main__":
    main()

"""Identity layers for Wan: the only new weights, saved and loaded on their own.

One `IdentityKV` per chosen block projects identity tokens to keys and values of the block's
cross-attention (decoupled cross-attention, IP-Adapter, Ye et al. 2023). Where they are attached
and how they are read is the work of `wan_attach` and `wan_attention`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from idvid.models.strict import load_strictly

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor


class IdentityKV(nn.Module):
    """Identity tokens to keys and gated values; lives at `blocks[i].attn2.id_kv`."""

    def __init__(
        self,
        dim: int,
        id_dim: int,
        bias: bool = True,
        n_registers: int = 0,
        own_k_norm: bool = False,
    ) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(id_dim, dim, bias=bias)
        self.to_v_ip = nn.Linear(id_dim, dim, bias=bias)
        self.norm_k_ip = nn.RMSNorm(dim, eps=1e-5, elementwise_affine=False) if own_k_norm else None
        self.registers = (
            nn.Parameter(torch.randn(1, n_registers, id_dim) * 0.02) if n_registers else None
        )
        # 0: the base model, bit for bit. One number, but with an axis: FSDP shares out no scalars.
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (N, K, id_dim) to keys and values (N, K + registers, dim)."""
        tokens = tokens.to(self.gate.dtype)  # the gate is never stored in fewer bits
        if self.registers is not None:
            tokens = torch.cat([tokens, self.registers.expand(len(tokens), -1, -1)], dim=1)
        keys = self.to_k_ip(tokens)
        if self.norm_k_ip is not None:
            keys = self.norm_k_ip(keys)
        return keys, self.gate * self.to_v_ip(tokens)


class WanIdentityLayers(ModelMixin, ConfigMixin):
    """The identity layers of one Wan transformer, by block.

    Args:
        dim: D of the transformer, `num_attention_heads * attention_head_dim`.
        id_dim: width of the identity tokens.
        layer_ids: the blocks that read them (not `layers`: a setting of that name would hide the
            modules).
        bias: whether the projections have one.
        n_registers: learned tokens beside each character's (Lynx).
        own_k_norm: keys are normalised here instead of by the block's own `norm_k` (Lynx lite).
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 1536,
        id_dim: int = 768,
        layer_ids: Sequence[int] = tuple(range(30)),
        bias: bool = True,
        n_registers: int = 0,
        own_k_norm: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            IdentityKV(dim, id_dim, bias, n_registers, own_k_norm) for _ in layer_ids
        )


def load_identity_layers(folder: Path, dtype: torch.dtype = torch.float32) -> WanIdentityLayers:
    """Read a folder that `WanIdentityLayers.save_pretrained` wrote, strictly and by name.

    Raises:
        ModelError: see `load_strictly`.
    """
    return load_strictly(WanIdentityLayers, folder, "the identity layers", dtype)

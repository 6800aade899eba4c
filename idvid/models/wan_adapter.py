"""A trained identity adapter for Wan as one value, and its folder in the Hub's format.

A folder holds `identity_layers`, `identity_encoder`, `identity_bank` and `backbone`, each with
`config.json` and safetensors. The base model is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from idvid.models.face_backbone import FaceBackbone
from idvid.models.identity_bank import MultiCharacterIdentityBank
from idvid.models.identity_encoder import IdentityEncoder
from idvid.models.strict import load_strictly
from idvid.models.wan_identity import WanIdentityLayers

if TYPE_CHECKING:
    from pathlib import Path

ADAPTER_CLASSES: dict[str, Any] = {
    "identity_layers": WanIdentityLayers,
    "identity_encoder": IdentityEncoder,
    "identity_bank": MultiCharacterIdentityBank,
    "backbone": FaceBackbone,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WanIdentityAdapter:
    """Everything between reference photos and Wan's cross-attention."""

    identity_layers: WanIdentityLayers
    identity_encoder: IdentityEncoder
    identity_bank: MultiCharacterIdentityBank
    backbone: FaceBackbone

    def save(self, folder: Path) -> None:
        """Write every part into a sub-folder of its name."""
        for name in ADAPTER_CLASSES:
            getattr(self, name).save_pretrained(folder / name)

    def gathered(self) -> WanIdentityAdapter:
        """A copy in main memory; where several processes share the weights, all must call it."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        parts: dict[str, Any] = {}
        for name, kind in ADAPTER_CLASSES.items():
            part = getattr(self, name)
            weights = get_model_state_dict(part, options=options)
            parts[name] = kind.from_config(part.config)
            parts[name].load_state_dict(weights or part.state_dict())  # others than the first: {}
        return WanIdentityAdapter(**parts)


def load_wan_adapter(folder: Path) -> WanIdentityAdapter:
    """Read a folder that `WanIdentityAdapter.save` wrote, ready for inference.

    Raises:
        ModelError: a part is missing or does not fit (`load_strictly`).
    """
    parts = {
        name: load_strictly(kind, folder / name, f"the adapter's {name.replace('_', ' ')}")
        for name, kind in ADAPTER_CLASSES.items()
    }
    for part in parts.values():
        part.eval().requires_grad_(False)
    return WanIdentityAdapter(**parts)

"""A trained identity adapter for Wan as one value, and its folder in the Hub's format.

A folder holds `identity_layers`, `identity_encoder`, `identity_bank` and `backbone`, each with
`config.json` and safetensors. The base model is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

"""The face backbone that conditions and trains: 112x112 face to a 512-D identity vector.

The interface is ArcFace's (Deng et al. 2019): RGB, aligned, -1..1, unit-norm output. It is never
the judge; `idvid.faces` owns that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

FACE_SIZE_PX = 112
FACE_VECTOR = 512


class _Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; the first one halves the picture if `stride` is 2."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width_out)
        self.activation = nn.PReLU(width_out)
        self.second = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width_out)
        same = stride == 1 and width_in == width_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1, stride)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.activation(self.first_norm(self.first(hidden)))
        return self.shortcut(hidden) + self.second_norm(self.second(inner))


class FaceBackbone(ModelMixin, ConfigMixin):
    """Aligned faces (B, 3, 112, 112) RGB in -1..1 to unit vectors (B, 512)."""

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 128, 192),
        blocks: tuple[int, ...] = (1, 1, 2, 2),
        vector: int = FACE_VECTOR,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.PReLU(widths[0]),
        ]
        width_in = widths[0]
        for width, count in zip(widths, blocks, strict=True):
            for index in range(count):
                layers.append(_Residual(width_in, width, 2 if index == 0 else 1))
                width_in = width
        self.body = nn.Sequential(*layers)  # (B, widths[-1], 4, 4)
        self.neck = nn.Conv2d(width_in, 128, 1)
        self.head = nn.Linear(128 * 16, vector, bias=False)
        self.head_norm = nn.BatchNorm1d(vector)

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces; gradients reach the pixels."""
        hidden = self.neck(self.body(faces))
        return functional.normalize(self.head_norm(self.head(hidden.flatten(1))), dim=-1)

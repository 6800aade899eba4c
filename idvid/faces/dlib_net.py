"""dlib's face recognition ResNet as a torch module. Knows the architecture, not where weights lie.

The layout is dlib's `dnn_face_recognition_ex`, with its affine (batch norm) layers folded into the
convolutions. Convolutions of stride 2 have no padding, so a block's two branches may differ in
size; the smaller one is padded with zeros at the right, the bottom and in the last channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHIP_SIZE_PX = 150
EMBEDDING_SIZE = 128
_BLOCKS = (
    *[(32, 32, False)] * 3,
    (32, 64, True),
    *[(64, 64, False)] * 3,
    (64, 128, True),
    *[(128, 128, False)] * 2,
    (128, 256, True),
    *[(256, 256, False)] * 2,
    (256, 256, True),
)  # (channels in, channels out, halves the size)


class _Block(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        stride, padding = (2, 0) if halves else (1, 1)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(functional.relu(self.conv1(x)))
        shortcut = functional.avg_pool2d(x, 2, 2) if self.halves else x
        size = tuple(max(a, b) for a, b in zip(shortcut.shape[1:], y.shape[1:], strict=True))
        return functional.relu(_pad_to(shortcut, size) + _pad_to(y, size))


class DlibFaceNet(nn.Module):
    """Aligned face chips -> face vectors, differentiable.

    `forward` takes chips (N, 3, 150, 150) RGB in [0, 1] (padding 0.25) and returns (N, 128), not
    normalised: faces of one person lie closer than about 0.6 in dlib's own use.
    """

    mean_rgb: Tensor  # (1, 3, 1, 1), in 0..255

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2, 0)
        self.blocks = nn.ModuleList([_Block(i, o, halves=h) for i, o, h in _BLOCKS])
        self.projection = nn.Linear(256, EMBEDDING_SIZE, bias=False)
        self.register_buffer("mean_rgb", torch.zeros(1, 3, 1, 1))

    def forward(self, chips: Tensor) -> Tensor:
        """Chips (N, 3, 150, 150) -> vectors (N, 128)."""
        x = (chips * 255.0 - self.mean_rgb) / 256.0
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2)
        for block in self.blocks:
            x = block(x)
        return self.projection(x.mean((2, 3)))

    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions from input to output, the order in which dlib's file holds them."""
        found = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        return found


def _pad_to(x: Tensor, size: tuple[int, ...]) -> Tensor:
    missing = [want - have for want, have in zip(size, x.shape[1:], strict=True)]
    if not any(missing):
        return x
    channels, height, width = missing
    return functional.pad(x, (0, width, 0, height, 0, channels))

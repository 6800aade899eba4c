"""Convert dlib's model files into the judge's weights: safetensors shards and their hashes.

    python -m idvid.faces.convert_dlib MODEL.dat POINTS.dat OUT [--portraits DIR]

dlib's format: an integer is a control byte (0x80 sign, low bits the number of bytes) and little
endian bytes; a float is two integers, mantissa and exponent; a tensor is a version, four sizes and
raw float32. Layers lie in the file from input to output, each after its name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save

from idvid.errors import ModelError
from idvid.faces.detect import POINTS_FILE, detect_faces
from idvid.faces.dlib_net import DlibFaceNet
from idvid.faces.embed import INDEX_FILE, MEAN_KEY, cut_faces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_MAX_SHARD_BYTES = 9_000_000
_LAYERS = (b"con_4", b"affine_", b"fc_2")
_PORTRAIT_WIDTHS_PX = (256, 160, 96, 64)  # faces of about 130, 80, 50 and 32 px


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def integer(self) -> int:
        control = self.content[self.position]
        start = self.position + 1
        self.position = start + (control & 0x0F)
        value = int.from_bytes(self.content[start : self.position], "little")
        return -value if control & 0x80 else value

    def real(self) -> float:
        mantissa = self.integer()
        return mantissa * 2.0 ** self.integer()

    def text(self) -> bytes:
        length = self.integer()
        self.position += length
        return self.content[self.position - length : self.position]

    def tensor(self) -> Tensor:
        if self.integer() != 2:
            raise ModelError("The dlib model has an unknown tensor version; use the v1 file.")
        shape = [self.integer() for _ in range(4)]
        count = int(np.prod(shape))
        values = np.frombuffer(self.content, "<f4", count, self.position).copy()
        self.position += 4 * count
        return torch.from_numpy(values)

    def find(self, name: bytes) -> int:
        """Where the next such name starts, or the end of the file."""
        found = self.content.find(bytes([1, len(name)]) + name, self.position)
        return found if found >= 0 else len(self.content)


def read_dlib_net(path: Path) -> DlibFaceNet:
    """The network of `dlib_face_recognition_resnet_model_v1.dat`, in evaluation mode.

    Raises:
        ModelError: the file is not that model.
    """
    reader = _Reader(path.read_bytes())
    reader.position = reader.find(b"input_rgb_image_sized")
    if reader.position == len(reader.content):
        raise ModelError("This is not dlib's face recognition model; use its resnet v1 file.")
    reader.text()
    net = DlibFaceNet()
    net.mean_rgb.copy_(torch.tensor([reader.real() for _ in range(3)]).view(1, 3, 1, 1))
    layers = _layers(reader)
    with torch.no_grad():
        for convolution in net.convolutions():
            filters = convolution.weight.numel()
            values = _next(layers, b"con_4", filters + convolution.out_channels)
            gain, shift = _next(layers, b"affine_", 2 * convolution.out_channels).chunk(2)
            weight = values[:filters].view_as(convolution.weight)
            convolution.weight.copy_(weight * gain.view(-1, 1, 1, 1))
            assert convolution.bias is not None
            convolution.bias.copy_(values[filters:] * gain + shift)
        rows, columns = net.projection.weight.shape
        net.projection.weight.copy_(_next(layers, b"fc_2", rows * columns).view(columns, rows).T)
    return net.eval()


def _layers(reader: _Reader) -> Iterator[tuple[bytes, Tensor]]:
    while True:
        reader.position = min(reader.find(name) for name in _LAYERS)
        if reader.position == len(reader.content):
            return
        name = reader.text()
        if name == b"fc_2":
            reader.integer()  # outputs
            reader.integer()  # inputs
        yield name, reader.tensor()


def _next(layers: Iterator[tuple[bytes, Tensor]], name: bytes, count: int) -> Tensor:
    found, values = next(layers, (b"", torch.empty(0)))
    if found != name or values.numel() != count:
        raise ModelError("The dlib model has other layers than expected; use its resnet v1 file.")
    return values


def mean_embedding(net: DlibFaceNet, portraits: list[Path]) -> Tensor:
    """Mean face vector (128,) over portraits, each also shrunk as faces in a video are."""
    from PIL import Image

    from idvid.faces.align import face_chips

    images, faces = [], []
    for number, path in enumerate(sorted(portraits)):
        width = _PORTRAIT_WIDTHS_PX[number % len(_PORTRAIT_WIDTHS_PX)]
        with Image.open(path) as picture:
            size = (width, round(picture.height * width / picture.width))
            image = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        found = detect_faces(image)
        images += [image] * len(found[:1])
        faces += found[:1]
    if not faces:
        raise ModelError("No face was found in the portraits; give clear frontal ones.")
    with torch.inference_mode():
        chips = cut_faces(images, faces, face_chips)
        return torch.cat([net(batch) for batch in chips.split(32)]).mean(0)


def write_weights(net: DlibFaceNet, mean: Tensor, folder: Path) -> None:
    """Write float32 shards of at most 9 MB and the index that names and hashes them."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in {**net.state_dict(), MEAN_KEY: mean}.items():
        size += value.nbytes
        if size > _MAX_SHARD_BYTES:
            shards.append({})
            size = value.nbytes
        shards[-1][name] = value.contiguous()
    digests: dict[str, str] = {}
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = folder / f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        content = save(shard)
        file.write_bytes(content)
        digests[file.name] = hashlib.sha256(content).hexdigest()
        weight_map |= dict.fromkeys(shard, file.name)
    total = sum(value.nbytes for shard in shards for value in shard.values())
    index = {"metadata": {"total_size": total, "sha256": digests}, "weight_map": weight_map}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", "utf-8")


def _saved_mean(folder: Path) -> Tensor:
    from safetensors.torch import load_file

    index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
    return load_file(folder / index["weight_map"][MEAN_KEY])[MEAN_KEY]


def main() -> None:
    """Convert; without --portraits the mean embedding already in OUT is kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("points", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--portraits", type=Path, help="folder of PNG portraits for the mean face")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.points, arguments.out / POINTS_FILE)
    net = read_dlib_net(arguments.model)
    if arguments.portraits:
        mean = mean_embedding(net, list(arguments.portraits.glob("*.png")))
    else:
        mean = _saved_mean(arguments.out)
    write_weights(net, mean, arguments.out)


if __name__ == "__main__":
    main()

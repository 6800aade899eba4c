"""Untrusted pictures in, clean RGB arrays out, and pictures to files.

Owns the limits and the refusals for a single picture. Does not know what the picture shows.
"""

from __future__ import annotations

import functools
import io
import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from idvid.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 100_000_000
MAX_MEGAPIXELS = 50
MAX_SIDE = 2048
MAX_SHOWN_NAME = 60
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "MPO")  # MPO: phones' two-lens JPEG

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".heif", ".bmp", ".tif", ".tiff"}

# What Pillow's parsers are known to raise on hostile or damaged bytes, beside OSError.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)
# EXIF 2.32, tag 0x0112: the value says how the stored picture was turned; this undoes it.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_USE_INSTEAD = "use a JPEG, PNG, WebP, GIF, HEIC, BMP or TIFF picture"


def shown_name(name: str) -> str:
    """The base name of a file, fit for a message: no folder, no markup, at most 60 characters."""
    base = PurePosixPath(name.replace("\\", "/")).name
    clean = "".join(c if c.isprintable() and c not in "<>&\"'`" else "_" for c in base)
    short = clean if len(clean) <= MAX_SHOWN_NAME else clean[: MAX_SHOWN_NAME - 1] + "…"
    return short or "The file"


def read_image(data: bytes | Path, name: str) -> NDArray[np.uint8]:
    """Decode an untrusted picture.

    Args:
        data: The file's bytes, or the file.
        name: What the user calls the file; only its base name is ever shown.

    Returns:
        (H, W, 3) RGB, upright, the first frame of an animation, alpha over white, longest side at
        most `MAX_SIDE`.

    Raises:
        InputError: If it is empty, not a picture, damaged, or over `MAX_MEGAPIXELS`.
    """
    shown = shown_name(name)
    raw = data if isinstance(data, bytes) else _read_file(data, shown)
    if not raw:
        raise InputError(f"{shown} is empty (0 bytes); choose another picture.")
    with _open(raw, shown) as picture:
        _check_size(picture, shown)
        try:
            picture.draft(None, (MAX_SIDE, MAX_SIDE))  # JPEG only: decode at a reduced scale
            picture.load()
            upright = _turn(_small_rgb(picture), picture.getexif().get(ExifTags.Base.Orientation))
        except _DECODE_ERRORS as error:
            raise InputError(
                f"{shown} is damaged or cut off; save or upload it again, or {_USE_INSTEAD}."
            ) from error
    return np.array(upright)


def picture_files(folder: Path) -> list[Path]:
    """The files of a folder whose names end like pictures', in order."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)


def write_png(image: NDArray[np.uint8], path: Path) -> None:
    """Write (H, W, 3) RGB as a PNG file."""
    Image.fromarray(image).save(path, format="PNG", optimize=True)


def write_webp(image: NDArray[np.uint8], path: Path, quality: int = 90) -> None:
    """Write (H, W, 3) RGB as a lossy WebP file; `quality` is 0..100."""
    Image.fromarray(image).save(path, format="WEBP", quality=quality)


def _read_file(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{shown} cannot be read; check that the file exists.") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{shown} is over {MAX_BYTES // 10**6} MB; save a smaller copy.")
    return raw


@functools.cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()


def _open(raw: bytes, shown: str) -> Image.Image:
    """Parse the header only; no pixel is decoded."""
    _register_heif()
    try:
        return Image.open(io.BytesIO(raw), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{shown} is far over {MAX_MEGAPIXELS} megapixels; save a smaller copy."
        ) from error
    except _DECODE_ERRORS as error:
        raise InputError(f"{shown} is not a picture that we can read; {_USE_INSTEAD}.") from error


def _check_size(picture: Image.Image, shown: str) -> None:
    width, height = picture.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise InputError(
            f"{shown} is {width}x{height} pixels, over {MAX_MEGAPIXELS} megapixels; "
            "save a smaller copy."
        )
    if picture.mode == "F":
        raise InputError(f"{shown} has floating-point pixels; save it as a JPEG or PNG picture.")


def _small_rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB, longest side at most `MAX_SIDE`, transparency over white."""
    small = _eight_bit(picture)
    small = small.convert("RGBA" if small.has_transparency_data else "RGB")
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    if small.mode == "RGB":
        return small
    white = Image.new("RGBA", small.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, small).convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit grey to 8-bit grey, keeping the high byte; anything else unchanged."""
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    return Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))


def _turn(picture: Image.Image, orientation: object) -> Image.Image:
    """Upright, from the EXIF orientation; a missing or senseless tag leaves the picture as it is."""
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)

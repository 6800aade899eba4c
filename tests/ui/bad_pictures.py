"""Files that are no picture, show no face, or are pictures of a rarer kind."""

import io
import zipfile

import numpy as np
from PIL import Image


def png(array: np.ndarray) -> bytes:
    return encoded(Image.fromarray(array), "PNG")


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("face.txt", "no face")
    return out.getvalue()


def six_faces(photo: Image.Image) -> bytes:
    sheet = Image.new("RGB", (3 * 256, 2 * 256))
    for i in range(6):
        sheet.paste(photo.resize((256, 256)), (i % 3 * 256, i // 3 * 256))
    return encoded(sheet, "PNG")


BAD_FILES = {
    "text.jpg": b"I am a text and no picture.",
    "empty.png": b"",
    "random.png": np.random.default_rng(2).bytes(5000),
    "page.png": b"<html><script>alert(1)</script></html>",
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"></svg>',
    "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"></svg>',
    "truncated.jpg": encoded(Image.fromarray(noise(400, 400)), "JPEG")[:9000],
    "truncated.png": png(noise(300, 300))[:5000],
    "header_only.png": png(noise(300, 300))[:33],
    "archive.png": archive(),
    "document.jpg": b"%PDF-1.7 1 0 obj <<>> endobj",
    "video.jpg": b"\x00\x00\x00\x18ftypmp42" + bytes(500),
    "huge.png": encoded(Image.new("1", (20000, 20000)), "PNG"),
    "float.tiff": encoded(Image.fromarray(np.zeros((300, 300), np.float32)), "TIFF"),
}
NO_FACE = {
    "tiny.png": png(noise(1, 1)),
    "noise.png": png(noise(300, 300)),
    "grey.png": png(np.full((300, 300, 3), 128, np.uint8)),
    "thin.png": png(noise(2, 900)),
}


ODD_FORMATS = {
    "animated.gif": lambda face: encoded(face, "GIF", save_all=True, append_images=[face]),
    "cmyk.jpg": lambda face: encoded(face.convert("CMYK"), "JPEG"),
    "sixteen.png": lambda face: encoded(
        Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257), "PNG"
    ),
    "rotated.jpg": lambda face: encoded(
        face.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=b"Exif\0\0" + rotated_exif()
    ),
    "alpha.png": lambda face: encoded(face.convert("RGBA"), "PNG"),
    "palette.png": lambda face: encoded(face.convert("P"), "PNG"),
    "face.webp": lambda face: encoded(face, "WEBP"),
    "face.heic": lambda face: encoded(face, "HEIF"),
}


def rotated_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes().removeprefix(b"Exif\0\0")

"""Laws of untrusted pictures: what comes out is upright RGB, what cannot is refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from idvid.errors import InputError
from idvid.media.image import MAX_SIDE, read_image, shown_name, write_png, write_webp

RED, BLUE = (230, 20, 30), (20, 40, 220)


def card(height=40, width=64):
    """Red with a blue top left quarter: says which way is up."""
    pixels = np.full((height, width, 3), RED, np.uint8)
    pixels[: height // 2, : width // 2] = BLUE
    return pixels


def encoded(picture, form, **options):
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def near(pixel, colour, within=14):
    return np.abs(np.asarray(pixel, int) - colour).max() <= within


def is_card(rgb):
    height, width = rgb.shape[:2]
    corners = [near(rgb[y, x], BLUE) for y in (4, height - 5) for x in (4, width - 5)]
    return rgb.dtype == np.uint8 and corners == [True, False, False, False]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF"])
def test_every_format_gives_the_same_picture(form):
    import pillow_heif

    pillow_heif.register_heif_opener()
    assert is_card(read_image(encoded(Image.fromarray(card()), form), "photo"))


@pytest.mark.parametrize("mode", ["CMYK", "P", "LAB", "RGBA"])
def test_every_colour_mode_gives_the_same_picture(mode):
    form = {"CMYK": "JPEG", "LAB": "TIFF"}.get(mode, "PNG")
    picture = Image.fromarray(card())
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    else:
        picture = picture.quantize() if mode == "P" else picture.convert(mode)
    rgb = read_image(encoded(picture, form), "photo")
    assert is_card(rgb)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_high_byte(form):
    grey = np.linspace(0, 65535, 40 * 64).reshape(40, 64).astype(np.uint16)
    rgb = read_image(encoded(Image.fromarray(grey), form), "scan.tif")
    assert np.array_equal(rgb, np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_black_and_white_bits_are_read():
    rgb = read_image(encoded(Image.new("1", (64, 40), 1), "PNG"), "fax.png")
    assert rgb.shape == (40, 64, 3)
    assert rgb.min() == 255


def test_transparency_lies_over_white():
    pixels = np.zeros((40, 64, 4), np.uint8)
    pixels[:, 32:, 3] = 255
    rgb = read_image(encoded(Image.fromarray(pixels), "PNG"), "logo.png")
    assert rgb[:, :30].min() == 255
    assert rgb[:, 34:].max() == 0


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(form):
    frames = [Image.fromarray(card()), Image.new("RGB", (64, 40), (0, 255, 0))]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert is_card(read_image(data, "wave.gif"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "HEIF"])
def test_exif_orientation_is_undone(form, orientation):
    import pillow_heif

    pillow_heif.register_heif_opener()
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, k=-1),
    }[orientation](card())
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored))
    rgb = read_image(encoded(picture, form, exif=exif.tobytes()), "phone.jpg")
    assert rgb.shape == (40, 64, 3)
    assert is_card(rgb)


def test_a_senseless_orientation_leaves_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 99
    assert is_card(read_image(encoded(Image.fromarray(card()), "JPEG", exif=exif), "x.jpg"))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_picture_shrinks_to_the_longest_side(form):
    rgb = read_image(encoded(Image.fromarray(card(1500, 5000)), form), "wide.jpg")
    assert max(rgb.shape) == MAX_SIDE
    assert rgb.shape[0] == pytest.approx(MAX_SIDE * 0.3, abs=1)
    assert is_card(rgb)


def huge_png(width, height):
    """A header that promises width x height, with no pixels behind it."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


JPEG = encoded(Image.fromarray(card(200, 300)), "JPEG")
PNG = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), "u1")), "PNG")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'
REFUSED = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am no picture at all\n" * 40, "not a picture"),
    "html": (b"<html><script>alert(1)</script></html>", "not a picture"),
    "svg": (SVG, "not a picture"),
    "pdf": (b"%PDF-1.7\n%abc\n1 0 obj\n<<>>\nendobj\n", "not a picture"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    "zip": (b"PK\x03\x04" + bytes(200), "not a picture"),
    "video": (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(200), "not a picture"),
    "noise": (np.random.default_rng(1).bytes(5000), "not a picture"),
    "jpeg signature only": (JPEG[:20], "not a picture"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "damaged"),
    "truncated png": (PNG[: len(PNG) // 2], "damaged"),
    "20000x20000": (huge_png(20_000, 20_000), "50 megapixels"),
    "51 megapixels": (huge_png(51_000, 1000), "51000x1000"),
    "2 billion wide": (huge_png(2**31 - 1, 2**31 - 1), "50 megapixels"),
    "no pixels": (huge_png(100, 100), "damaged"),
    "float pixels": (encoded(Image.fromarray(np.ones((9, 9), "f4")), "TIFF"), "floating-point"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_picture_is_refused_in_one_sentence(case):
    data, reason = REFUSED[case]
    with pytest.raises(InputError) as caught:
        read_image(data, "/home/someone/private/odd photo.jpg")
    message = str(caught.value)
    assert message.startswith("odd photo.jpg ")
    assert reason in message
    assert message.endswith(".")
    assert "/" not in message
    assert "\n" not in message


def test_every_cut_of_a_jpeg_gives_a_picture_or_a_sentence():
    for cut in range(0, len(JPEG), 97):
        with pytest.raises(InputError):
            read_image(JPEG[:cut], "cut.jpg")


def test_flipped_bytes_never_escape_as_another_error():
    rng = np.random.default_rng(3)
    sources = [encoded(Image.fromarray(card()), form) for form in ("PNG", "GIF", "TIFF", "WEBP")]
    outcomes = {"read": 0, "refused": 0}
    for round_number in range(200):
        data = bytearray(sources[round_number % len(sources)])
        for at in rng.integers(0, len(data), 6):
            data[at] = rng.integers(0, 256)
        try:
            assert read_image(bytes(data), "odd.png").ndim == 3
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/etc/secret/photo.jpg", "photo.jpg"),
        ("C:\\Users\\ana\\photo.jpg", "photo.jpg"),
        ("<img src=x>.png", "_img src=x_.png"),
        ("line\nbreak.png", "line_break.png"),
        ("", "The file"),
        ("x" * 500, "x" * 59 + "…"),
    ],
)
def test_a_shown_name_has_no_folder_and_no_markup(given, shown):
    assert shown_name(given) == shown


def test_missing_and_oversized_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"^gone\.png cannot be read"):
        read_image(tmp_path / "gone.png", "gone.png")
    monkeypatch.setattr("idvid.media.image.MAX_BYTES", 1_000_000)
    (tmp_path / "big.png").write_bytes(bytes(1_000_001))
    with pytest.raises(InputError, match="over 1 MB"):
        read_image(tmp_path / "big.png", "big.png")


def test_written_pictures_read_back(tmp_path):
    write_png(card(), tmp_path / "a.png")
    write_webp(card(), tmp_path / "a.webp")
    assert np.array_equal(read_image(tmp_path / "a.png", "a.png"), card())
    assert is_card(read_image(tmp_path / "a.webp", "a.webp"))

"""Damaged, unusual and malicious files: a result or an error of one line, and the batch goes on."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms

from prosr import jobs
from prosr.images.reading import Picture
from prosr.inference.loading import load
from prosr.inference.upscaler import Upscaler

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 30, 4), dtype=np.uint8)
RGB = Image.fromarray(NOISE[..., :3])
FRAMES = [Image.fromarray(NOISE[..., i]).convert("RGB") for i in range(3)]
BICUBIC: Upscaler = load("bicubic")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    return encoded(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:])


def bare_png(width: int, height: int) -> bytes:
    """A PNG whose header promises more pixels than its thousand bytes hold."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def tiff(samples: NDArray[Any], interpretation: str) -> bytes:
    image = pyvips.Image.new_from_array(samples).copy(interpretation=interpretation)
    return bytes(image.tiffsave_buffer())


RGB_TAG, LAB_TAG = (struct.pack("<HHIHH", 262, 3, 1, colours, 0) for colours in (2, 8))


def raw() -> bytes:
    """A TIFF that is a thumbnail, as the first page of a raw file."""
    rows = {254: 1, 256: 9, 257: 9, 258: 8, 259: 1, 262: 1, 273: 8, 278: 9, 279: 81, 330: 8}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in rows.items())
    return b"II*\0" + struct.pack("<I", 90) + bytes(82) + struct.pack("<H", 10) + entries + bytes(4)


def with_strip_of(length: float) -> bytes:
    """A TIFF that states a floating-point number as the length of its strip."""
    data = tiff(np.zeros((9, 9), np.uint8), "b-w")
    place = data.rindex(struct.pack("<HHI", 279, 4, 1))
    return data[:place] + struct.pack("<HHIf", 279, 11, 1, length) + data[place + 12 :]


def recoded(avif: bytes, transfer: int) -> bytes:
    """The AVIF with another transfer function, whose code follows that of the primaries."""
    before, box, after = avif.partition(b"colrnclx")
    assert box
    return before + box + after[:2] + struct.pack(">H", transfer) + after[4:]


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def grown(jpeg: bytes) -> bytes:
    """The JPEG with 30,000 × 30,000 pixels in its header."""
    size = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:size] + struct.pack(">HH", 30_000, 30_000) + jpeg[size + 4 :]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def oriented(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(RGB, "jpeg", exif=exif)


CMYK = Image.fromarray(NOISE, "CMYK")
FLOATS = RNG.random((9, 9), dtype=np.float32)
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MADE = ""

CASES: dict[str, tuple[bytes, str]] = {
    "bomb.png": (bare_png(60_000, 60_000), "60000×60000 pixels; cut it into parts"),
    "huge.png": (bare_png(2**31 - 1, 2**31 - 1), "damaged or not supported"),
    "zero.png": (bare_png(0, 10), "damaged or not supported"),
    "lying.png": (bare_png(3000, 3000), "damaged or not supported"),
    "half.png": (halved(encoded(RGB, "png")), "damaged or not supported"),
    "tail.png": (encoded(RGB, "png")[:-20], "damaged or not supported"),
    "half.jpg": (halved(encoded(RGB, "jpeg")), "damaged or not supported"),
    "grown.jpg": (grown(encoded(RGB, "jpeg")), "is truncated"),
    "black.jpg": (encoded(Image.new("L", (400, 300)), "jpeg", optimize=True), MADE),
    "flipped.png": (flipped(encoded(RGB, "png")), "damaged or not supported"),
    "empty.jpg": (b"", "empty file"),
    "byte.png": (b"\x89", "not a picture in a known format"),
    "text.tif": (b"hello", "not a picture in a known format"),
    "svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture in a known format"),
    "pdf.jpg": (b"%PDF-1.4\n", "not a picture in a known format"),
    "start.png": (b"\x89PNG\r\n\x1a\n", "damaged or not supported"),
    "start.tif": (b"II*\0", "damaged or not supported"),
    "start.webp": (b"RIFF\x10\0\0\0WEBP", "damaged or not supported"),
    "start.avif": (b"\0\0\0\x1cftypavif", "damaged or not supported"),
    "start.jpg": (b"\xff\xd8\xff", "damaged or not supported"),
    "animation.gif": (animated("gif"), "holds 3 pictures (an animation or pages); extract"),
    "animation.webp": (animated("webp"), "holds 3 pictures"),
    "animation.png": (animated("png"), "is an animation; extract its pictures"),
    "animation.avif": (animated("avif"), "is an animation; extract its pictures"),
    "hdr.avif": (recoded(encoded(RGB, "avif"), 16), "is HDR (PQ or HLG); convert it to sRGB"),
    "sdr.avif": (recoded(encoded(RGB, "avif"), 1), MADE),
    "xcode.png": (
        b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI\x50\0\x20\2",
        "is a PNG of Xcode's own kind (CgBI)",
    ),
    "canon.tif": (b"II*\0\x10\0\0\0CR\2\0", "is a camera's raw file; develop it"),
    "canon.heic": (b"\0\0\0\x18ftypcrx \0\0\0\1", "is a camera's raw file; develop it"),
    "nikon.tif": (raw(), "is a camera's raw file; develop it"),
    "lab.tif": (
        tiff(np.zeros((9, 9, 3), np.uint8), "rgb").replace(RGB_TAG, LAB_TAG),
        "is 8-bit Lab",
    ),
    "clip.jpg": (b"\0\0\0\x18ftypmp42\0\0\0\0", "is a clip; let its name end in .mp4"),
    "bmp.png": (
        encoded(RGB, "bmp"),
        "is BMP, JPEG XL, JPEG 2000, PSD or PPM, which prosr cannot read",
    ),
    "pages.tif": (animated("tiff"), "holds 3 pictures"),
    "nan.tif": (
        tiff(np.full((9, 9), np.nan, np.float32), "b-w"),
        "some float samples are not finite",
    ),
    "ycbcr.tif": (encoded(RGB.convert("YCbCr"), "tiff"), "YCbCr without JPEG compression"),
    "ycbcr-jpeg.tif": (
        bytes(pyvips.Image.new_from_array(NOISE[..., :3]).tiffsave_buffer(compression="jpeg")),
        MADE,
    ),
    "bright.tif": (tiff(FLOATS * 300, "b-w"), "scale them to 0…1"),
    "double.tif": (tiff(np.ones((9, 9)), "b-w"), "is a TIFF of 64-bit or complex samples"),
    "complex.tif": (
        tiff(np.ones((9, 9), np.complex64), "b-w"),
        "is a TIFF of 64-bit or complex samples",
    ),
    "int.tif": (tiff(np.ones((9, 9), np.int32), "b-w"), "int samples; convert it"),
    "five.tif": (tiff(np.ones((9, 9, 5), np.uint8), "multiband"), "5 channels; keep only"),
    "nan-strip.tif": (with_strip_of(float("nan")), "damaged or not supported"),
    "inf-strip.tif": (with_strip_of(float("inf")), "damaged or not supported"),
    "float.tif": (tiff(FLOATS, "b-w"), MADE),
    "bit.tif": (encoded(RGB.convert("1"), "tiff", compression="group4"), MADE),
    "bit.png": (encoded(RGB.convert("1"), "png"), MADE),
    "palette.png": (encoded(RGB.quantize(16), "png", transparency=3), MADE),
    "palette2.gif": (encoded(RGB.quantize(16), "gif", transparency=3), MADE),
    "cmyk.jpg": (encoded(CMYK, "jpeg"), MADE),
    "cmyk.tif": (encoded(CMYK, "tiff"), MADE),
    "cmyk-junk.jpg": (encoded(CMYK, "jpeg", icc_profile=b"junk" * 99), MADE),
    "cmyk-rgb.jpg": (encoded(CMYK, "jpeg", icc_profile=SRGB), MADE),
    "icc-lab.png": (encoded(RGB, "png", icc_profile=LAB), MADE),
    "icc-junk.jpg": (encoded(RGB, "jpeg", icc_profile=b"junk" * 99), MADE),
    "icc-cut.png": (encoded(RGB, "png", icc_profile=SRGB[:200]), MADE),
    "icc-gray.png": (encoded(RGB.convert("L"), "png", icc_profile=SRGB), MADE),
    "exif-junk.jpg": (encoded(RGB, "jpeg", exif=b"Exif\0\0junkjunk"), MADE),
    "exif-far.jpg": (encoded(RGB, "jpeg", exif=b"Exif\0\0II+\0\x08\0\0\0" + b"\xff" * 8), MADE),
    "exif-cut.jpg": (encoded(RGB, "jpeg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05"), MADE),
    "progressive.jpg": (encoded(RGB, "jpeg", progressive=True), MADE),
    "a jpeg.png": (encoded(RGB, "jpeg"), MADE),
    "line\nbreak.png": (encoded(RGB, "png"), MADE),
    "é漢 [x]*%d.png": (encoded(RGB, "png"), MADE),
    "-dash.PNG": (encoded(RGB, "png"), MADE),
    **{f"turned{value}.jpg": (oriented(value), MADE) for value in (*range(10), 77)},
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_a_result_or_an_error_of_one_line(name: str, tmp_path: Path) -> None:
    content, complaint = CASES[name]
    (tmp_path / name).write_bytes(content)
    found = jobs.find([str(tmp_path / name)], 2)
    (outcome,) = jobs.run(BICUBIC, found, 2)
    if complaint:
        assert (outcome.status, outcome.job.target.exists()) == ("failed", False)
        assert complaint in outcome.reason and "\n" not in outcome.reason
        assert os.listdir(tmp_path) == [name]
    else:
        assert (outcome.status, outcome.reason) == ("made", "")
        before, after = Picture(tmp_path / name), Picture(outcome.job.target)
        assert (after.width, after.height) == (2 * before.width, 2 * before.height)
        assert after.channels == before.channels


SPECIAL: list[tuple[Callable[[Path], None], str]] = [
    (os.mkfifo, "is not a regular file"),
    (lambda path: path.symlink_to("nowhere.png"), "no such file"),
    (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
]


@pytest.mark.parametrize(("make", "complaint"), SPECIAL)
def test_a_path_that_is_no_regular_file_gives_an_error_of_one_line(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    make(tmp_path / "a.png")
    RGB.save(tmp_path / "b.png")
    outcomes = list(jobs.run(BICUBIC, jobs.find([str(tmp_path)], 2, f"{tmp_path}/out"), 2))
    assert [outcome.status for outcome in outcomes] == ["failed", "made"]
    assert complaint in outcomes[0].reason and "\n" not in outcomes[0].reason


def test_a_name_too_long_for_its_result_gives_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".png")
    RGB.save(path)
    (outcome,) = jobs.run(BICUBIC, jobs.find([str(path)], 2), 2)
    assert outcome.reason.endswith("_x2.png: File name too long; give another output")


def test_a_long_name_of_wide_characters_leaves_room_for_the_temporary_name(tmp_path: Path) -> None:
    path = tmp_path / ("\N{GRINNING FACE}" * 61 + ".png")
    RGB.save(path)
    (outcome,) = jobs.run(BICUBIC, jobs.find([str(path)], 2), 2)
    assert (outcome.status, outcome.reason) == ("made", "")

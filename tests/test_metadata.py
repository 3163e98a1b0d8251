"""Metadata of enlargements in every format, read by another library."""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from prosr.images import adapting, containers
from prosr.images.formats import find_format
from prosr.images.provenance import Making, Origin, mark
from prosr.images.reading import Picture
from prosr.images.writing import Canvas

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    b"<a xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"/></x:xmpmeta>"
)
SUFFIXES = ["jpg", "png", "webp", "tif", "avif"]
EXIF_IFD, GPS_IFD = 0x8769, 0x8825


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0131], tags[0x0112] = "Maker", "Firmware (2)", 6
    tags.get_ifd(EXIF_IFD).update({0x9003: "2020:01:02 03:04:05", 0xA002: 60, 0xA003: 40})
    tags.get_ifd(GPS_IFD).update({1: "N", 2: (50.0, 30.0, 15.0)})
    return tags


def original(folder: Path, suffix: str = "jpg", **options: Any) -> Path:
    path = folder / f"original.{suffix}"
    Image.new("RGB", (60, 40), (200, 100, 50)).save(path, **options)
    return path


def enlarged(folder: Path, source: Path, suffix: str, made_by: str = "") -> Path:
    picture, path = Picture(source), folder / f"enlarged.{suffix}"
    size = 2 * picture.height, 2 * picture.width
    depth = np.dtype(np.uint8)
    with Canvas(path, find_format(suffix), size, 3, depth, picture.metadata, made_by) as canvas:
        canvas.put(0, 0, np.full((*size, 3), 0.5, np.float32))
        canvas.save()
    return path


def seen(path: Path) -> Image.Image:
    """The picture as another library reads it."""
    with Image.open(path) as image:
        image.load()
        image.getexif().get_ifd(GPS_IFD)
        return image


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exif_is_inherited_and_upright(tmp_path: Path, suffix: str) -> None:
    image = seen(enlarged(tmp_path, original(tmp_path, exif=exif()), suffix))
    assert image.size == (80, 120)  # orientation 6 has been applied
    tags = image.getexif()
    assert (tags[0x010F], tags[0x0131], tags[0x0112]) == ("Maker", "Firmware (2)", 1)
    photo = tags.get_ifd(EXIF_IFD)
    assert photo[0x9003] == "2020:01:02 03:04:05"
    assert (photo[0xA002], photo[0xA003]) == (80, 120)
    assert tags.get_ifd(GPS_IFD)[1] == "N"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exif_of_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    first = enlarged(tmp_path, original(tmp_path, exif=exif()), suffix)
    tags = seen(enlarged(tmp_path, first, "png")).getexif()
    assert (tags[0x010F], tags.get_ifd(EXIF_IFD)[0x9003]) == ("Maker", "2020:01:02 03:04:05")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("turned", [False, True])
def test_profile_and_xmp_are_inherited(tmp_path: Path, suffix: str, turned: bool) -> None:
    tags: dict[str, Any] = {"exif": exif()} if turned else {}
    carried = Picture(
        enlarged(tmp_path, original(tmp_path, icc_profile=ICC, xmp=XMP, **tags), suffix)
    ).metadata
    assert carried.icc == ICC
    # XMP keeps its orientation, and all its bytes, unless EXIF or AVIF have turned the pixels.
    upright = b'="1"' if suffix == "avif" else b'="6"'
    expected = XMP.replace(b"'", b'"').replace(b'="6"', upright)
    if turned:
        expected = expected.replace(b' tiff:Orientation="6"', b"").replace(
            b' tiff:Orientation="1"', b""
        )
    assert carried.xmp.replace(b"'", b'"') == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", ["jpg", "png", "tif"])
def test_a_print_keeps_its_size(tmp_path: Path, source: str, suffix: str) -> None:
    path = original(tmp_path, source, dpi=(300, 240))
    _, x, y = Picture(enlarged(tmp_path, path, suffix)).metadata.resolution or (0, 0, 0)
    unit = 2.54 if suffix == "png" or (source == "png" and suffix in ("webp", "tif", "avif")) else 1
    assert (unit * x, unit * y) == pytest.approx((600, 480), rel=1e-4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", ["jpg", "png", "webp", "avif"])
def test_nothing_is_invented(tmp_path: Path, source: str, suffix: str) -> None:
    """Neither a resolution nor EXIF, which libraries like to add."""
    path = enlarged(tmp_path, original(tmp_path, source), suffix)
    assert (Picture(path).metadata.resolution, seen(path).info.get("dpi")) in (
        (None, None),
        (None, (1, 1)),
    )
    structure = {254, *range(256, 280), 284, 317, 339}
    assert not set(seen(path).getexif()) - (structure if suffix == "tif" else set())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_of_a_png_reach_every_format(tmp_path: Path, suffix: str) -> None:
    info = PngImagePlugin.PngInfo()
    made = "a tree\nSteps: 40, Sampler: Euler a"
    texts = {
        "parameters": made,
        "Title": "café 日本",
        "workflow": '{"<&>": 1}',
        "Creation Time": "x",
    }
    for keyword, text in texts.items():
        info.add_itxt(keyword, text)
    first = enlarged(tmp_path, original(tmp_path, "png", pnginfo=info), suffix)
    if suffix != "png":
        comment = seen(first).getexif().get_ifd(EXIF_IFD)[0x9286]
        order = "utf-16-le" if suffix == "tif" else "utf-16-be"
        assert comment[8:].decode(order) == made
        assert "café 日本".encode() in Picture(first).metadata.xmp
        texts = {"parameters": made}
    # The settings of a generator are texts of a PNG again.
    image = Image.open(enlarged(tmp_path, first.rename(tmp_path / f"a.{suffix}"), "png"))
    assert isinstance(image, PngImagePlugin.PngImageFile)
    assert texts.items() <= {key: str(text) for key, text in image.text.items()}.items()


@pytest.mark.parametrize("language", ["", "de"])
def test_the_language_of_a_text_is_said_to_be_lost(tmp_path: Path, language: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Title", "ein Titel", language, "Titel" if language else "")
    lost = Picture(original(tmp_path, "png", pnginfo=info)).metadata.lost
    assert lost == ({"languages of texts"} if language else set())


@pytest.mark.parametrize("source", ["jpg", "gif"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_comments_are_inherited(tmp_path: Path, source: str, encoding: str) -> None:
    """No format states their encoding."""
    path = original(tmp_path, source, comment="a comment é".encode(encoding))
    assert seen(enlarged(tmp_path, path, "jpg")).info["comment"] == "a comment é".encode()
    assert seen(enlarged(tmp_path, path, "png")).info["Comment"] == "a comment é"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_chunks_of_a_png_are_inherited_by_png(tmp_path: Path) -> None:
    """The colours, the date, and unknown ones that are safe to copy; others are named."""
    colours = {b"gAMA": struct.pack(">I", 100_000), b"cICP": bytes((9, 16, 0, 1))}
    said = colours | {b"sRGB": b"\0", b"tIME": bytes((7, 230, 1, 2, 3, 4, 5)), b"abCd": b"copied"}
    source = original(tmp_path, "png", icc_profile=ICC)
    plain = source.read_bytes()
    chunks = b"".join(chunk(name, data) for name, data in said.items())
    source.write_bytes(plain[:33] + chunks + chunk(b"abCD", b"bound") + plain[33:])
    path = enlarged(tmp_path, source, "png")
    assert all(chunk(name, data) in path.read_bytes() for name, data in said.items())
    assert b"bound" not in path.read_bytes() and Picture(source).metadata.lost == {"the chunk abCD"}
    assert seen(path).info["icc_profile"] == ICC
    stripped = Picture(source).metadata.stripped()
    assert {part[4:8] for part in stripped.chunks} == {b"gAMA", b"cICP", b"sRGB"}
    jpeg = enlarged(tmp_path, source, "jpg")
    assert seen(jpeg).getexif()[0x0132] == "2022:01:02 03:04:05"
    source.write_bytes(source.read_bytes()[:55])  # inside the second chunk
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert [part[0] for part in containers._parts(data, "PNG")] == [b"IHDR", b"gAMA"]


PRIMARIES = 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000
WIDE = 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([(b"gAMA", 100_000)], True),
        ([(b"cHRM", *WIDE)], True),
        ([(b"gAMA", 45_455), (b"cHRM", *PRIMARIES)], False),
        ([(b"gAMA", 45_455), (b"sRGB",)], False),
    ],
)
def test_colours_that_only_png_states_are_said_to_be_lost(
    tmp_path: Path, chunks: Any, said: bool
) -> None:
    source = original(tmp_path, "png")
    data = source.read_bytes()
    more = [chunk(name, struct.pack(f">{len(n)}I", *n) or b"\0") for name, *n in chunks]
    source.write_bytes(data[:33] + b"".join(more) + data[33:])
    for suffix in ("jpg", "png"):
        lost = adapting.enlarged(Picture(source).metadata, (120, 80), find_format(suffix).name).lost
        assert bool(lost) == (said and suffix == "jpg")


@pytest.mark.parametrize("name", [b"caNv", b"vpAg", b"npTc"])
def test_places_in_a_png_are_not_copied(tmp_path: Path, name: bytes) -> None:
    """The canvas of ImageMagick, and the borders of Android's nine-patches, which are named."""
    source = original(tmp_path, "png")
    data = source.read_bytes()
    source.write_bytes(data[:33] + chunk(name, bytes(16)) + data[33:])
    assert name not in enlarged(tmp_path, source, "png").read_bytes()
    assert Picture(source).metadata.lost == ({"the chunk npTc"} if name == b"npTc" else set())


def raw_profile(kind: str, data: bytes) -> bytes:
    text = f"\n{kind}\n{len(data):8}\n{data.hex(chr(10), 36)}\n".encode()
    return chunk(b"zTXt", f"Raw profile type {kind}".encode() + bytes(2) + zlib.compress(text))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_profiles_that_a_png_has_as_texts_are_inherited(tmp_path: Path, suffix: str) -> None:
    """ImageMagick, and all programs that use Exiv2, write EXIF and XMP in this way."""
    source = original(tmp_path, "png")
    data, xmp = source.read_bytes(), XMP.replace(b"tiff:Orientation", b"tiff:Artist")
    more = raw_profile("exif", exif().tobytes()) + raw_profile("xmp", xmp)
    source.write_bytes(data[:33] + more + data[33:])
    path = enlarged(tmp_path, source, suffix)
    assert seen(path).getexif().get_ifd(EXIF_IFD)[0x9003] == "2020:01:02 03:04:05"
    assert b"tiff:Artist" in Picture(path).metadata.xmp
    assert Picture(source).metadata.texts == () and not Picture(source).metadata.lost


@pytest.mark.parametrize("text", [b"iptc\n4\n38424", b"iptc\n4\n3842494d", b""])
def test_other_profiles_as_texts_are_named(tmp_path: Path, text: bytes) -> None:
    source = original(tmp_path, "png")
    data = source.read_bytes()
    more = chunk(b"tEXt", b"Raw profile type iptc\0" + text)
    source.write_bytes(data[:33] + more + data[33:])
    assert Picture(source).metadata.lost == {"a raw profile in a text"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_result_states_its_network(tmp_path: Path, suffix: str) -> None:
    made_by = mark("my net", "x4", "0123456789abcdef")
    source = original(tmp_path, exif=exif())
    path = enlarged(tmp_path, source, suffix, made_by)
    assert Picture(path).making.mark == made_by == "prosr my net x4 0123456789ab"
    assert Picture(source).making == Making()
    assert seen(path).getexif()[0x0131] == f"Firmware (2); {made_by}"


def test_the_last_mark_counts(tmp_path: Path) -> None:
    path = enlarged(tmp_path, original(tmp_path), "png", mark("a", "x2", ""))
    path = enlarged(tmp_path, path, "jpg", mark("b", "x4", ""))
    assert Picture(path).making.mark == "prosr b x4 -"


def test_a_new_mark_replaces_the_old_one(tmp_path: Path) -> None:
    path = original(tmp_path, exif=exif())
    for number in range(6):
        made_by = str(
            Making(mark("a" * 60, "x2", "0" * 64), Origin("0" * 12, "0" * 8, f"{number:08}"))
        )
        path = enlarged(tmp_path, path, "png", made_by).rename(tmp_path / f"{number}.png")
        assert str(Picture(path).making) == made_by
    assert seen(path).getexif()[0x0131] == f"Firmware (2); {made_by}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_thumbnail_is_not_copied(tmp_path: Path, suffix: str) -> None:
    thumbnail = original(tmp_path).read_bytes()
    # IFD0 with an orientation, then IFD1 with the offset and length of the thumbnail.
    first = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 8 + 18)
    place = 8 + 18 + 2 + 2 * 12 + 4
    entries = struct.pack("<HHII", 0x0201, 4, 1, place) + struct.pack(
        "<HHII", 0x0202, 4, 1, len(thumbnail)
    )
    block = b"Exif\0\0II*\0\x08\0\0\0" + first + struct.pack("<H", 2) + entries + bytes(4)
    source = original(tmp_path, exif=block + thumbnail)
    assert thumbnail in source.read_bytes()
    path = enlarged(tmp_path, source, suffix)
    assert seen(path).size == (80, 120)
    assert path.read_bytes().count(b"\xff\xd8\xff") == (suffix == "jpg")
    assert thumbnail[-99:] not in path.read_bytes()

"""Metadata of enlargements in every format, read by another library."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from prosr.images.formats import find_format
from prosr.images.metadata import Metadata, read_png_colours
from prosr.images.provenance import Making, Origin, mark
from prosr.images.reading import Picture
from prosr.images.writing import Canvas

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a tiff:Orientation=\"6\"/></x:xmpmeta>"
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
def test_profile_and_xmp_are_inherited_unchanged(tmp_path: Path, suffix: str) -> None:
    turned: dict[str, Any] = {"exif": exif()}
    for tags, xmp in (({}, XMP), (turned, XMP.replace(b'"6"', b'"1"'))):
        source = original(tmp_path, icc_profile=ICC, xmp=XMP, **tags)
        carried = Picture(enlarged(tmp_path, source, suffix)).metadata
        blobs = {name: bytes(item[1]) for name, item in carried.fields.items() if "data" in name}
        assert blobs["icc-profile-data"] == ICC
        # XMP keeps its orientation unless the pixels were turned by EXIF.
        assert blobs["xmp-data"].rstrip(b"\0") == xmp


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_resolution_is_inherited(tmp_path: Path, suffix: str) -> None:
    source = original(tmp_path, dpi=(300, 300))
    assert seen(enlarged(tmp_path, source, suffix)).info["dpi"] == pytest.approx(
        (300, 300), rel=1e-4
    )


def test_colour_chunks_of_a_png_are_inherited_by_png(tmp_path: Path) -> None:
    said = [
        (b"sRGB", b"\0"),
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cICP", bytes((9, 16, 0, 1))),
    ]
    said += [(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))]
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in said
    )
    source = original(tmp_path, "png", icc_profile=ICC)
    plain = source.read_bytes()
    source.write_bytes(plain[:33] + chunks + plain[33:])
    result = enlarged(tmp_path, source, "png", mark("a", 2, ""))
    assert seen(result).info["gamma"] == 1.0 and seen(result).info["icc_profile"] == ICC
    assert seen(result).size == (120, 80)
    for name, data in said:
        before, _, after = result.read_bytes().partition(name + data)
        assert after and b"IDAT" not in before
    assert b"gAMA" not in enlarged(tmp_path, source, "jpg").read_bytes()
    source.write_bytes(source.read_bytes()[:55])  # inside the second chunk
    assert read_png_colours(source) == chunks[:13]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_result_states_its_network(tmp_path: Path, suffix: str) -> None:
    made_by = mark("my net", 4, "0123456789abcdef")
    source = original(tmp_path, exif=exif())
    path = enlarged(tmp_path, source, suffix, made_by)
    assert Picture(path).making.mark == made_by == "prosr my net x4 0123456789ab"
    assert Picture(source).making == Making()
    assert seen(path).getexif()[0x0131] == f"Firmware (2); {made_by}"


def test_the_last_mark_counts(tmp_path: Path) -> None:
    path = enlarged(tmp_path, original(tmp_path), "png", mark("a", 2, ""))
    path = enlarged(tmp_path, path, "jpg", mark("b", 4, ""))
    assert Picture(path).making.mark == "prosr b x4 -"


def test_a_new_mark_replaces_the_old_one(tmp_path: Path) -> None:
    path = original(tmp_path, exif=exif())
    for number in range(6):
        made_by = str(
            Making(mark("a" * 60, 2, "0" * 64), Origin("0" * 12, "0" * 8, f"{number:08}"))
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


def test_a_picture_without_a_profile_is_declared_srgb(tmp_path: Path) -> None:
    path = enlarged(tmp_path, original(tmp_path), "jpg", mark("a", 2, ""))
    assert seen(path).getexif().get_ifd(EXIF_IFD)[0xA001] == 1


def test_a_picture_without_metadata_is_read(tmp_path: Path) -> None:
    assert Picture(original(tmp_path, "png")).metadata.fields == {}
    assert Metadata().fields == {}

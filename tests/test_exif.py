"""EXIF in TIFF files; test_metadata reads what is written with another library."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prosr.images.tiff import add_exif, read_exif

PHOTO, GPS = 0x8769, 0x8825


def block(maker_note: int = 0) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x8298] = "Maker", "me"
    tags.get_ifd(PHOTO).update({0x829A: (1, 250), 0x8827: 100})
    if maker_note:
        tags.get_ifd(PHOTO)[0x927C] = bytes(maker_note)
    tags.get_ifd(GPS)[1] = "N"
    return tags.tobytes()


def content(exif: bytes) -> dict[int, Any]:
    """All tags of a block as another library reads them."""
    tags = Image.Exif()
    tags.load(exif)
    found = {**tags, **tags.get_ifd(PHOTO), **tags.get_ifd(GPS)}
    return {tag: value for tag, value in found.items() if tag not in (PHOTO, GPS)}


def tiff_with(folder: Path, exif: bytes, **options: Any) -> Path:
    path = folder / "a.tif"
    Image.effect_noise((33, 21), 50).save(path, **options)
    add_exif(path, exif, 33, 21)
    return path


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_a_tiff_holds_what_was_added_and_its_pixels(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    image = Image.effect_noise((33, 21), 50)
    image.save(path, compression=compression)
    add_exif(path, block(), 33, 21)
    assert content(read_exif(path)) == content(block()) | {0xA002: 33, 0xA003: 21}
    with Image.open(path) as reread:
        assert reread.tobytes() == image.tobytes()


def test_the_other_byte_order_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    entries = struct.pack(">HHIHH", 0x4746, 3, 1, 4, 0)
    entries += struct.pack(">HHII", 0x010F, 2, 6, 38)
    path.write_bytes(b"MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4) + b"Maker\0")
    assert content(read_exif(path)) == {0x010F: "Maker", 0x4746: 4}
    add_exif(path, block(), 33, 21)
    assert content(read_exif(path)) == content(block()) | {0x4746: 4, 0xA002: 33, 0xA003: 21}


def test_a_maker_note_too_long_for_a_block_is_left_out(tmp_path: Path) -> None:
    for length in (99, 70_000):
        found = content(read_exif(tiff_with(tmp_path, block(length))))
        assert (0x927C in found) == (length == 99)
        assert found[0x8827] == 100


@pytest.mark.parametrize("cut", range(10, 130, 7))
def test_a_damaged_block_is_no_exif_or_less_of_it(tmp_path: Path, cut: int) -> None:
    found = content(read_exif(tiff_with(tmp_path, block()[:cut])))
    assert found.items() <= (content(block()) | {0xA002: 33, 0xA003: 21}).items()


def test_a_directory_that_points_to_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 0))
    assert 0x010F not in content(read_exif(path))

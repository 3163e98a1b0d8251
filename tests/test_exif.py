"""EXIF in TIFF files; what is written is read by another library in test_metadata."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from prosr.images.exif import Exif, add_to_tiff, make_block, read_block, read_tiff
from prosr.images.tiff import TagValue

TEXT, SHORT, FRACTION = 2, 3, 5
EXAMPLE = Exif(
    main={0x010F: TagValue(TEXT, 6, b"Maker\0"), 0x8298: TagValue(TEXT, 3, b"me\0")},
    photo={
        0x829A: TagValue(FRACTION, 1, struct.pack("<II", 1, 250)),
        0x8827: TagValue(SHORT, 1, b"d\0"),
    },
    gps={0x0001: TagValue(TEXT, 2, b"N\0")},
)


def test_a_block_holds_what_was_put_into_it() -> None:
    assert read_block(make_block(EXAMPLE)) == EXAMPLE


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_a_tiff_holds_what_was_added_and_its_pixels(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    image = Image.effect_noise((33, 21), 50)
    image.save(path, compression=compression)
    add_to_tiff(path, EXAMPLE, 33, 21)
    found = read_tiff(path)
    assert (found.main, found.gps) == (EXAMPLE.main, EXAMPLE.gps)
    assert found.photo.items() >= EXAMPLE.photo.items()
    with Image.open(path) as reread:
        assert reread.tobytes() == image.tobytes()


def test_the_other_byte_order_is_read() -> None:
    value = b"MM\0*" + struct.pack(">IH", 8, 2)
    value += struct.pack(">HHIHH", 0x4746, SHORT, 1, 4, 0)
    value += struct.pack(">HHII", 0x010F, TEXT, 6, 38) + bytes(4) + b"Maker\0"
    found = read_block(value)
    assert found.main == {
        0x010F: TagValue(TEXT, 6, b"Maker\0"),
        0x4746: TagValue(SHORT, 1, b"\4\0"),
    }


def test_a_makers_note_too_long_for_a_block_is_left_out() -> None:
    note = {0x927C: TagValue(7, 70_000, bytes(70_000))}
    assert read_block(make_block(Exif(photo=EXAMPLE.photo | note))).photo == EXAMPLE.photo


@pytest.mark.parametrize("cut", range(4, 120, 7))
def test_a_damaged_block_is_no_exif_or_less_of_it(cut: int) -> None:
    found = read_block(make_block(EXAMPLE)[:cut])
    assert found.main.items() <= EXAMPLE.main.items()


def test_a_directory_of_directories_does_not_go_on_for_ever() -> None:
    itself = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 0)
    assert not read_block(itself).main

"""EXIF blocks and EXIF in TIFF files; test_metadata reads what is written with another library."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from prosr.images import tiff
from prosr.images.exif import EXIF_IFD, Exif, add_exif, exif_block, read_exif
from prosr.images.tiff import storage
from test_budgets import encoded
from test_budgets import read as read_all

PHOTO, GPS = 0x8769, 0x8825


def block(maker_note: int = 0) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x8298], tags[0x4746] = "Maker", "me", 4
    tags.get_ifd(PHOTO).update({0x829A: (1, 250), 0x8827: 100})
    if maker_note:
        tags.get_ifd(PHOTO)[0x927C] = bytes(maker_note)
    tags.get_ifd(GPS)[1] = "N"
    return tags.tobytes().removeprefix(b"Exif\0\0")


def swapped(entries: dict[int, tuple[int, int, bytes]]) -> bytes:
    """A big-endian block with a main directory of entries that hold their values."""
    rows = b"".join(struct.pack(">HHI4s", tag, *entry) for tag, entry in entries.items())
    return b"MM\0*" + struct.pack(">IH", 8, len(entries)) + rows + bytes(4)


def overlapping(entries: int, length: int) -> bytes:
    """A block with entries that all state the same bytes as their values."""
    place = 8 + 18 + 2 + 12 * entries + 4
    rows = (struct.pack("<HHII", 0x9000 + i, 7, length, place) for i in range(entries))
    first = struct.pack("<IHHHIII", 8, 1, PHOTO, 4, 1, 26, 0)
    return b"II*\0" + first + struct.pack("<H", entries) + b"".join(rows) + bytes(4 + length)


def content(data: bytes) -> dict[int, Any]:
    """All tags of a block as another library reads them."""
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + data)
    found = {**tags, **tags.get_ifd(PHOTO), **tags.get_ifd(GPS)}
    return {tag: value for tag, value in found.items() if tag not in (PHOTO, GPS)}


def read(data: bytes) -> Exif:
    return read_exif(io.BytesIO(data))


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_a_tiff_holds_what_was_added_and_its_pixels(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    image = Image.effect_noise((33, 21), 50)
    image.save(path, compression=compression)
    add_exif(path, read(block()), ())
    with path.open("rb") as file:
        assert content(block()).items() <= content(exif_block(read_exif(file))).items()
    with Image.open(path) as reread:
        assert reread.tobytes() == image.tobytes()


def test_the_other_byte_order_is_read_and_written() -> None:
    data = swapped({0x4746: (3, 1, b"\0\4\0\0"), 0x010F: (2, 4, b"Cam\0")})
    assert content(exif_block(read(data))) == {0x010F: "Cam", 0x4746: 4}
    assert exif_block(read(data))[:2] == b"MM"  # maker notes share it


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_maker_note_stays_at_its_place(order: str) -> None:
    note = bytes(range(1, 100))
    place = 999 if order == "<" else 70
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    main = struct.pack(f"{order}HHHIII", 1, PHOTO, 4, 1, 26, 0)
    photo = struct.pack(f"{order}HHHIII", 1, 0x927C, 7, len(note), place, 0)
    written = exif_block(read((head + main + photo).ljust(place, b"\0") + note))
    assert written[place : place + len(note)] == note
    assert content(written)[0x927C] == note


@pytest.mark.parametrize("cut", range(4, 130, 7))
def test_a_damaged_block_is_no_exif_or_less_of_it(cut: int) -> None:
    exif = read(block()[:cut])
    assert exif.damaged and content(exif_block(exif)).items() <= content(block()).items()


def test_a_directory_that_points_to_itself_ends() -> None:
    read(b"II*\0" + struct.pack("<IHHHIII", 8, 1, PHOTO, 4, 1, 8, 0))


def test_what_is_read_of_a_file_is_limited_in_all(tmp_path: Path) -> None:
    """900 entries of a megabyte each would take 900 MB."""
    data = overlapping(900, 1_000_000)
    tracemalloc.start()
    start = time.perf_counter()
    assert read(data).damaged and not read(data).directory(EXIF_IFD)
    assert tracemalloc.get_traced_memory()[1] < 3 * tiff._BUDGET
    tracemalloc.stop()
    assert time.perf_counter() - start < 5
    # As many bytes as the file has are read.
    assert len(read(overlapping(3, 1_000_000)).directory(EXIF_IFD)) == 3


FUZZED = float(os.environ.get("PROSR_FUZZ", "600"))
"""Seconds for each of the following tests, ten minutes by default."""


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_random_bytes_and_damaged_blocks_are_read_or_refused(tmp_path: Path) -> None:
    seeds = [block(), block(99), swapped({0x4746: (3, 1, b"\0\4\0\0")}), overlapping(9, 99)]
    end = time.monotonic() + FUZZED
    edits = st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=6)
    path = tmp_path / "a.tif"

    @settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", *seeds]), edits, st.binary(max_size=200))
    def reads(seed: bytes, changes: list[tuple[int, bytes]], tail: bytes) -> None:
        data = changed(seed + tail, changes)
        start = time.process_time()
        exif = read(data)
        once, again = (
            {pointer: tags for pointer, tags in found.directories.items() if tags}
            for found in (exif, read(exif_block(exif)))
        )
        assert once == again
        path.write_bytes(data)
        assert storage(path).pages
        assert time.process_time() - start < 1

    while time.monotonic() < end:
        reads()


NUMBERS = b"e9999999", b"-1", b"nan", b"inf", b"1/0", b"\xff" * 4, b"\0\x0b\0\0\0\1\x7f\xc0"
"""What readers of numbers stumble over."""


def changed(data: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    new = bytearray(data)
    for place, content in changes:
        new[place : place + len(content)] = content
    return bytes(new)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_damaged_files_of_all_formats_are_read_or_refused(tmp_path: Path) -> None:
    """Their heads; reading must end soon, with metadata or in a refusal."""
    options: dict[str, Any] = {"exif": b"Exif\0\0" + block(99), "comment": b"a comment"}
    place = "http://ns.google.com/photos/1.0/panorama/"
    options["xmp"] = f"<x><a xmlns:b='{place}' b:FullPanoWidthPixels='100000000'/></x>".encode()
    kinds = {"a.jpg": "jpeg", "a.png": "png", "a.webp": "webp", "a.avif": "avif", "a.gif": "gif"}
    seeds = {name: encoded(kind, **options) for name, kind in kinds.items()}
    end = time.monotonic() + FUZZED
    content = st.binary(min_size=1, max_size=8) | st.sampled_from(NUMBERS)
    edits = st.lists(st.tuples(st.integers(0, 900), content), max_size=6)

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(list(seeds)), edits)
    def reads(name: str, changes: list[tuple[int, bytes]]) -> None:
        path = tmp_path / name
        path.write_bytes(changed(seeds[name], changes))
        start = time.process_time()
        read_all(path)
        assert time.process_time() - start < 2

    while time.monotonic() < end:
        reads()

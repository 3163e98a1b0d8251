"""Incomplete and damaged pictures are refused, also those whose decoders find enough pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from prosr.data.benchmarks import open_benchmark
from prosr.data.patches import open_pictures
from prosr.errors import ImageError
from prosr.images.reading import read_rgb
from prosr.inference.loading import load
from prosr.jobs import Job, Outcome, run

Y, X = np.mgrid[:96, :128]
PIXELS = np.stack([X * 2, Y * 2, (X * Y) % 256], -1).astype(np.uint8)


def encoded(suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, {"jpg": "jpeg"}.get(suffix, suffix), **options)
    return file.getvalue()


def tiled() -> bytes:
    """A TIFF with its directory before the tiles, as programs write that do not seek."""
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS, tile=(32, 32), compression="zlib")
    return file.getvalue()


def unfinished(data: bytes, share: float = 0.5) -> bytes:
    """A download that reserved the whole file and broke off."""
    kept = int(share * len(data))
    return data[:kept] + bytes(len(data) - kept)


def cut(data: bytes) -> bytes:
    return data[: len(data) * 3 // 4]


def outcome(path: Path) -> Outcome:
    (only,) = run(load("bicubic"), [Job(path, path.with_name("out.png"))], 2)
    return only


@pytest.mark.parametrize("harm", [unfinished, cut])
@pytest.mark.parametrize(
    ("suffix", "make"),
    [
        ("jpg", lambda: encoded("jpg", quality=95)),
        ("jpg", lambda: encoded("jpg", progressive=True)),
        ("jpg", lambda: encoded("jpg", restart_marker_blocks=4)),
        ("png", lambda: encoded("png")),
        ("webp", lambda: encoded("webp", quality=95)),
        ("webp", lambda: encoded("webp", lossless=True)),
        ("gif", lambda: encoded("gif")),
        ("avif", lambda: encoded("avif", quality=95)),
        ("tif", tiled),
    ],
)
def test_half_a_file_is_refused_everywhere(
    tmp_path: Path, suffix: str, make: Callable[[], bytes], harm: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "in" / f"a.{suffix}"
    path.parent.mkdir()
    path.write_bytes(make())
    read_rgb(path)
    path.write_bytes(harm(make()))
    result = outcome(path)
    assert result.status == "failed" and "\n" not in result.reason
    assert not (path.parent / "out.png").exists()
    with pytest.raises(ImageError):
        read_rgb(path)
    _, problems = open_pictures([path.parent], tmp_path / "cache")
    assert len(problems) == 1
    with pytest.raises(ImageError):
        list(open_benchmark(path.parent).pairs(2))


def test_an_unfinished_download_is_refused() -> None:
    with pytest.raises(ImageError, match="Corrupt JPEG data: premature end of data segment"):
        read_rgb(Path(__file__).parent / "data" / "jpeg-half-zeros.jpg")


def test_zeros_before_the_end_mark_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    data = encoded("jpg", quality=95)
    path.write_bytes(unfinished(data)[:-2] + data[-2:])
    with pytest.raises(ImageError, match=r"incomplete or damaged \(\d+ of \d+ bytes of its pixels"):
        read_rgb(path)


def test_damage_in_the_middle_of_a_progressive_jpeg_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    data = encoded("jpg", progressive=True, quality=95)
    path.write_bytes(data[: len(data) * 3 // 4] + data[len(data) * 3 // 4 + 300 :])
    with pytest.raises(ImageError, match=r"incomplete or damaged \(Corrupt JPEG data"):
        read_rgb(path)


def chunk(kind: bytes, content: bytes, check: int = 0) -> bytes:
    crc = zlib.crc32(kind + content) ^ check
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def holed(data: bytes) -> bytes:
    start = len(data) * 3 // 5
    return data[:start] + bytes(len(data) // 10) + data[start + len(data) // 10 :]


@pytest.mark.parametrize("suffix", ["jpg", "gif"])
def test_a_hole_is_noticed(tmp_path: Path, suffix: str) -> None:
    """The decoder of JPEG finds the next scan, and that of GIF stops with a warning."""
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"progressive": True} if suffix == "jpg" else {}
    path.write_bytes(holed(encoded(suffix, **options)))
    with pytest.raises(ImageError, match="is incomplete or damaged"):
        read_rgb(path)


JPEG, PNG = encoded("jpg"), encoded("png")
SCAN = JPEG.index(b"\xff\xda")


@pytest.mark.parametrize(
    ("name", "data", "remark"),
    [
        ("junk.jpg", JPEG[:SCAN] + b"junk" + JPEG[SCAN:], "4 extraneous bytes before marker 0xda"),
        ("version.jpg", JPEG.replace(b"JFIF\0\1", b"JFIF\0\3", 1), "unknown JFIF revision"),
        ("few.jpg", JPEG[:-2] + bytes(100) + JPEG[-2:], "bytes of its pixels were not needed"),
        ("text.png", PNG[:33] + chunk(b"tEXt", b"a\0b", 1) + PNG[33:], "tEXt: CRC error"),
        ("fill.jpg", JPEG[:-2] + b"\xff" * 9 + JPEG[-2:], ""),
        ("after.jpg", JPEG + bytes(9999), ""),
        ("after.png", PNG + bytes(9999), ""),
        ("after.webp", encoded("webp") + bytes(9999), ""),
        ("after.gif", encoded("gif") + bytes(9999), ""),
    ],
)
def test_what_harms_no_pixel_is_made_with_a_note(
    tmp_path: Path, name: str, data: bytes, remark: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    whole = tmp_path / f"whole{path.suffix}"
    whole.write_bytes(encoded(path.suffix[1:]))
    assert np.array_equal(read_rgb(path), read_rgb(whole))
    made = outcome(path)
    assert made.status == "made"
    # Other notes are about metadata.
    doubts = [note for note in made.notes if "decoder" in note or "pixels" in note]
    assert [remark in note for note in doubts] == [True] * bool(remark)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("suffix", ["webp", "gif", "avif", "jpg", "tiff"])
def test_plain_pictures_are_complete(tmp_path: Path, suffix: str, value: int) -> None:
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"optimize": True} if suffix == "jpg" else {}
    Image.new("RGB", (1500, 1000), (value,) * 3).save(path, **options)
    assert read_rgb(path).shape == (1000, 1500, 3)


def test_a_tiff_that_ends_in_zeros_is_made_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS)
    assert outcome(path).notes == ()
    path.write_bytes(unfinished(path.read_bytes()))
    (tmp_path / "out.png").unlink()
    made = outcome(path)
    assert "if its end is not black, get a complete copy" in made.notes[0]


def test_remarks_are_pythons_warnings_by_default(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG[:SCAN] + b"junk" + JPEG[SCAN:])
    with pytest.warns(UserWarning, match=r"a_x2\.jpg: its decoder says: Corrupt JPEG data: 4 extr"):
        load("bicubic").upscale(path, 2)

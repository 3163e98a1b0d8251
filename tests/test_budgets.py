"""What is parsed by hand has a budget: small files that would take minutes or gigabytes without."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prosr.errors import ImageError
from prosr.images.adapting import enlarged
from prosr.images.damage import decode
from prosr.images.reading import Picture

SECONDS, MEMORY = 5, 120_000_000
FORMATS = "JPEG", "PNG", "WebP", "TIFF", "AVIF"
PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
XMP = "<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:a='b'>{}</x:xmpmeta>"


def encoded(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((60, 40), 90).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


def png(inside: bytes) -> bytes:
    data = encoded("png")
    return data[:33] + inside + data[33:]


def with_xmp(text: str) -> bytes:
    return png(chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP.format(text).encode()))


def jpeg(inside: bytes, place: bytes = b"\xff\xd8") -> bytes:
    data = encoded("jpeg")
    at = data.index(place) + len(place)
    return data[:at] + inside + data[at:]


def scan_of_marks() -> bytes:
    """FF may be repeated before a mark; here it is, and no mark follows."""
    data = encoded("jpeg")
    at = data.index(b"\xff\xda") + 14
    return data[:at] + b"\xff" * 3_000_000 + b"\0" + data[at:]


def gif(inside: bytes) -> bytes:
    data = encoded("gif")
    at = 13 + (3 << ((data[10] & 7) + 1))
    return data[:at] + inside + data[at:]


LETTERS = [bytes((97 + i // 676, 97 + i // 26 % 26, 65, 65 + i % 26)) for i in range(15_000)]
CASES: dict[str, Callable[[], bytes]] = {
    "elements.png": lambda: with_xmp("<a:b/>" * 600_000),
    "attributes.png": lambda: with_xmp(
        "<c " + " ".join(f"a:b{i}=''" for i in range(200_000)) + "/>"
    ),
    "namespace.png": lambda: with_xmp(
        f"<c xmlns:d='{'e' * 400_000}'>" + "".join(f"<d:b{i}/>" for i in range(20_000)) + "</c>"
    ),
    "exponent.png": lambda: with_xmp(
        f"<c xmlns:d='{PANORAMA}' d:FullPanoWidthPixels='1e99999999'/>"
    ),
    "small.png": lambda: with_xmp(f"<c xmlns:d='{PANORAMA}' d:FullPanoWidthPixels='1e-99999999'/>"),
    "exponent.tif": lambda: encoded("tiff", description='<OME PhysicalSizeX="1e99999999"/>'),
    "depth.png": lambda: with_xmp("<a:b>" * 20_000 + "</a:b>" * 20_000),
    "texts.png": lambda: png(b"".join(chunk(b"tEXt", b"k%d\0v" % i) for i in range(60_000))),
    "long.png": lambda: png(b"".join(chunk(b"tEXt", b"k\0" + b"v" * 8000) for _ in range(900))),
    "packed.png": lambda: png(
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(3_900_000)))
        + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000))) * 9000
    ),
    "chunks.png": lambda: png(b"".join(chunk(name, b"") for name in LETTERS)),
    "comments.jpg": lambda: jpeg(b"".join(b"\xff\xfe\0\5%03d" % (i % 999) for i in range(99_000))),
    "segments.jpg": lambda: jpeg(b"".join(b"\xff\xe3\0\x08%06d" % i for i in range(60_000))),
    "marks.jpg": scan_of_marks,
    "comments.gif": lambda: gif(b"!\xfe\1a\0" * 200_000),
    "software.tif": lambda: encoded("tiff", software="prosr " * 250_000),
    "software2.tif": lambda: encoded("tiff", software="prosr a " + "a0" * 1_500_000),
}


def read(path: Path) -> None:
    """All that is done with a file but enlarging, for each format of a result."""
    try:
        metadata = Picture(path).metadata
        decode(path, lambda data: None)
    except ImageError:
        return
    for file_format in FORMATS:
        enlarged(metadata, (120, 80), file_format, "made")


@pytest.mark.parametrize("name", CASES)
def test_a_small_file_takes_little_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(CASES[name]())
    start = time.process_time()
    read(path)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("name", ["elements.png", "attributes.png", "namespace.png", "packed.png"])
def test_a_small_file_takes_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(CASES[name]())
    tracemalloc.start()
    read(path)
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()

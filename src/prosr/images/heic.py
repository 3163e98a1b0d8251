"""HEIC with HEVC, which the wheels of libvips cannot decode."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyvips

from prosr.images import fields
from prosr.images.tiff import sample_header

LOST = {b"hdrgainmap": fields.GAIN_MAP, b"tmap": fields.GAIN_MAP, b"auxid:2": fields.DEPTH}
LOST |= {b"aux:depth": fields.DEPTH, b"matte": "mattes", b"jumb": fields.CREDENTIALS}
"""Marks of parts of AVIF and HEIC that are lost."""

_BANDS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_BLOBS = {"exif": "exif-data", "xmp": "xmp-data", "icc_profile": "icc-profile-data"}


class HeicError(Exception):
    """A file that pi-heif refuses. As in `pyvips.Error`, the reason is on the second line."""


def open_hevc(path: Path, most_pixels: int) -> pyvips.Image:
    """Open a HEIC by pi-heif: its pixels, upright, are decoded as a whole when they are read.

    Raises `HeicError`.
    """
    from pi_heif import open_heif

    try:
        heif = open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        (width, height), (mode, _, depth) = heif.size, heif.mode.partition(";")
        if mode not in _BANDS or width * height > most_pixels:
            raise ValueError(f"{width}×{height} pixels of mode {heif.mode}")
    # Its errors are of many types.
    except Exception as error:
        raise HeicError(f"open_heif\n{error}") from None
    dtype = np.dtype("<u2" if depth else "u1")
    scale = 65_535 / (2 ** int(depth or 16) - 1)

    def decode() -> bytes:
        stored = np.asarray(heif)
        if depth:
            stored = (stored * np.float32(scale) + np.float32(0.5)).astype(dtype)
        return stored.tobytes()

    header = sample_header((height, width), _BANDS[mode], dtype)
    source = _source(header, width * height * _BANDS[mode] * dtype.itemsize, decode)
    # Unlike a loader's own function, this one keeps the source as long as the image.
    image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error").copy()
    for name, field in _BLOBS.items():
        if blob := heif.info.get(name):
            image.set_type(pyvips.GValue.blob_type, field, blob)
    # EXIF's orientation is that of before libheif turned the pixels.
    numbers = {"n-pages": len(heif), "bits-per-sample": int(depth or 8), "orientation": 1}
    for field, value in numbers.items():
        image.set_type(pyvips.GValue.gint_type, field, value)
    return image


def _source(header: bytes, length: int, decode: Callable[[], bytes]) -> pyvips.SourceCustom:
    """A header, and samples that are decoded when the first of them is read."""
    position, start = 0, len(header)
    samples = cache(decode)

    def read(count: int) -> bytes | None:
        nonlocal position
        try:
            data = header[position : position + count] or samples()[position - start :][:count]
        # libvips reports a file that ends too early.
        except Exception:
            return None
        position += len(data)
        return data or None

    def seek(offset: int, whence: int) -> int:
        nonlocal position
        position = offset + (0, position, start + length)[whence]
        return position

    source = pyvips.SourceCustom()
    source.on_read(read)
    source.on_seek(seek)
    return source

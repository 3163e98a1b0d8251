"""File formats: limits, recognition and saving."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prosr.errors import ImageError

_U8, _U16, _F32 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)


@dataclass(frozen=True)
class Format:
    """A format that results can be written in.

    `saver` is the libvips operation and `options` its fixed arguments. `side` is the
    encoder's limit for width and height, in pixels. `deepest` is the largest sample type.
    `memory` is what the encoder needs in bytes per pixel; 0 means that it streams rows.
    """

    name: str
    suffixes: tuple[str, ...]
    saver: str
    options: Mapping[str, Any]
    side: int = 2**31 - 1
    deepest: np.dtype[Any] = _U8
    alpha: bool = True
    memory: int = 0


# A JPEG header allows 65,535 pixels a side; libjpeg allows 65,500.
_JPEG = {"Q": 95, "subsample_mode": "off"}
_WEBP = {"Q": 95, "smart_subsample": True}
_PNG = {"compression": 6, "filter": "all"}
_TIFF = {"compression": "deflate"}
_AVIF = {"compression": "av1", "Q": 90, "subsample_mode": "off", "effort": 2}

UNREAD_SUFFIXES = (".bmp", ".jp2", ".jxl", ".ppm", ".psd", ".tga")
"""Suffixes of unsupported pictures that a folder of pictures may contain."""

# fmt: off
FORMATS = (
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), "jpegsave", _JPEG, 65_500, alpha=False),
    Format("PNG",  (".png",),                          "pngsave",  _PNG,  deepest=_U16),
    Format("WebP", (".webp",),                         "webpsave", _WEBP, 16_383, memory=42),
    Format("TIFF", (".tif", ".tiff"),                  "tiffsave", _TIFF, deepest=_F32),
    Format("AVIF", (".avif",),                         "heifsave", _AVIF, 16_384, _U16, memory=55),
)

CONTENTS = (
    ("an animation; extract its pictures, then enlarge those", "", re.compile(rb"\x89PNG((?!IDAT).)*\0\0\0\x08acTL|.{4}ftyp(avis|msf1|hevc|hevx)", re.S)),
    ("a PNG of Xcode's own kind (CgBI); convert it with sips or pngcrush", "", re.compile(rb"\x89PNG.{8}CgBI", re.S)),
    ("a camera's raw file; develop it and save it as TIFF", "", re.compile(rb"II\*\0.{4}CR|II(RO|RS|U\0)|FUJIFILM|.{4}ftypcrx", re.S)),
    ("a clip; let its name end in .mp4 or the like", "", re.compile(rb".{4}ftyp(qt|iso|mp4|M4V|3g)|\x1aE\xdf\xa3", re.S)),
    ("BMP, JPEG XL, JPEG 2000, PSD or PPM, which prosr cannot read; save it as PNG", "", re.compile(rb"BM.{4}\0{4}|\xff\n|\0\0\0\x0c(JXL|jP) |8BPS|P[1-7]\s", re.S)),
    ("JPEG", "jpegload", re.compile(rb"\xff\xd8\xff")),
    ("PNG",  "pngload",  re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WebP", "webpload", re.compile(rb"RIFF.{4}WEBP", re.S)),
    ("TIFF", "tiffload", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("GIF",  "gifload",  re.compile(rb"GIF8[79]a")),
    ("AVIF", "heifload", re.compile(rb".{4}ftyp.{0,20}avi[fs]", re.S)),
    ("HEIC", "heifload", re.compile(rb".{4}ftyp", re.S)),
)
# fmt: on
"""Names, libvips loaders and first bytes of the formats that can be read.

The suffix may be wrong, and libvips would pass unknown content to other loaders, such as those of
SVG and PDF. So the content determines the format. Without a loader, the name says why the file is
refused: of animations, libvips sees only one picture.
"""


def find_format(name: str) -> Format:
    """Find a format by suffix (".JPG") or name ("jpeg"); raise `ImageError` if unknown."""
    wanted = name.lower().lstrip(".")
    for known in FORMATS:
        if wanted == known.name.lower() or f".{wanted}" in known.suffixes:
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise ImageError(f"{name or 'no suffix'!r} is not a format that can be written; use {names}")


def is_writable(suffix: str) -> bool:
    """Whether results can be written with this suffix."""
    return any(suffix.lower() in known.suffixes for known in FORMATS)


def is_picture(path: Path) -> bool:
    """Whether the suffix is that of a readable picture; the content may differ."""
    return path.suffix.lower() in (".gif", ".heic", ".heif", ".hif") or is_writable(path.suffix)


def is_hdr(head: bytes) -> bool:
    """Whether the first bytes of an AVIF or HEIC file announce PQ or HLG; libvips ignores both.

    The first box "colr" of kind "nclx" counts, unless the file has an ICC profile. Its transfer
    function is 16 for PQ and 18 for HLG (ITU-T H.273).
    """
    _, coded, codes = head.partition(b"colrnclx")
    profile = b"colrprof" in head or b"colrrICC" in head
    return bool(coded) and not profile and int.from_bytes(codes[2:4], "big") in (16, 18)

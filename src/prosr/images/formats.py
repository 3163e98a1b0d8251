"""File formats: what each can hold, how to recognise it, how to save it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
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
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    side: int = 2**31 - 1
    deepest: np.dtype[Any] = _U8
    alpha: bool = True
    memory: int = 0

    def sample_type(self, wanted: np.dtype[Any]) -> np.dtype[Any]:
        """`wanted`, or the deepest type of this format if that is smaller."""
        return min(wanted, self.deepest, key=lambda dtype: dtype.itemsize)


# A JPEG header allows 65,535 pixels a side; libjpeg allows 65,500.
_JPEG = MappingProxyType({"Q": 95, "subsample_mode": "off"})
_WEBP = MappingProxyType({"Q": 95, "smart_subsample": True})
_PNG = MappingProxyType({"compression": 6, "filter": "all"})
_TIFF = MappingProxyType({"compression": "deflate"})
_AVIF = MappingProxyType({"compression": "av1", "Q": 90, "subsample_mode": "off", "effort": 2})

# fmt: off
FORMATS = (
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), "jpegsave", _JPEG, 65_500, alpha=False),
    Format("PNG",  (".png",),                          "pngsave",  _PNG,  deepest=_U16),
    Format("WebP", (".webp",),                         "webpsave", _WEBP, 16_383, memory=42),
    Format("TIFF", (".tif", ".tiff"),                  "tiffsave", _TIFF, deepest=_F32),
    Format("AVIF", (".avif",),                         "heifsave", _AVIF, 16_384, _U16, memory=55),
)
# fmt: on

READ_ONLY_SUFFIXES = (".gif", ".heic", ".heif")
UNREAD_SUFFIXES = (".bmp", ".jp2", ".jxl", ".ppm", ".psd", ".tga")
"""Suffixes of pictures that cannot be read but may lie in a folder of pictures."""

_LOADERS = {"JPEG": "jpegload", "PNG": "pngload", "TIFF": "tiffload", "GIF": "gifload"}
_LOADERS |= {"WebP": "webpload", "AVIF": "heifload", "HEIC": "heifload"}

_HDR = (16, 18)
"""Codes of the transfer functions PQ and HLG (ITU-T H.273)."""

_STARTS: dict[str, tuple[bytes, ...]] = {"JPEG": (b"\xff\xd8\xff",)}
_STARTS |= {"PNG": (b"\x89PNG\r\n\x1a\n",), "GIF": (b"GIF87a", b"GIF89a")}
_STARTS |= {"TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")}


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
    return path.suffix.lower() in READ_ONLY_SUFFIXES or is_writable(path.suffix)


def sniff(head: bytes) -> tuple[str, str] | None:
    """Name and libvips loader of a format, from the first 32 or more bytes of a file.

    The suffix may be wrong, and libvips would pass unknown content to other loaders, such
    as those of SVG and PDF. So the content decides, among the formats above.
    """
    name = next((name for name, starts in _STARTS.items() if head.startswith(starts)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        name = "WebP"
    elif head[4:8] == b"ftyp":
        brands = head[8:32]
        name = "AVIF" if b"avif" in brands or b"avis" in brands else "HEIC"
    return (name, _LOADERS[name]) if name else None


def is_animated(head: bytes) -> bool:
    """Whether the first bytes announce an animation of which libvips sees only one picture.

    These are AVIF and HEIC sequences, and PNG with an animation control chunk (acTL). That
    chunk precedes the pixels.
    """
    if head.startswith(b"\x89PNG"):
        return b"\0\0\0\x08acTL" in head.partition(b"IDAT")[0]
    return head[4:8] == b"ftyp" and head[8:12] in (b"avis", b"msf1", b"hevc", b"hevx")


def is_hdr(head: bytes) -> bool:
    """Whether the first bytes of an AVIF or HEIC file announce PQ or HLG; libvips ignores both.

    The first box "colr" of kind "nclx" counts, unless the file has an ICC profile.
    """
    _, coded, codes = head.partition(b"colrnclx")
    profile = b"colrprof" in head or b"colrrICC" in head
    return bool(coded) and not profile and int.from_bytes(codes[2:4], "big") in _HDR

"""What each file format can hold, how it is recognised and how it is saved."""

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

    `side` is the longest side in pixels that its encoder takes, `saver` the libvips
    operation and `options` its fixed arguments. `memory` is what the encoder needs for
    each pixel of the picture, 0 if it goes from row to row.
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
        """The sample type nearest to `wanted` that this format holds."""
        return min(wanted, self.deepest, key=lambda dtype: dtype.itemsize)


# JPEG: 65,535 by its header, but libjpeg stops at 65,500.
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
"""Those of pictures that are not read, which a folder may have among others."""

_LOADERS = {"JPEG": "jpegload", "PNG": "pngload", "TIFF": "tiffload", "GIF": "gifload"}
_LOADERS |= {"WebP": "webpload", "AVIF": "heifload", "HEIC": "heifload"}

_HDR = (16, 18)
"""The codes of the transfer functions PQ and HLG (ITU-T H.273)."""

_STARTS: dict[str, tuple[bytes, ...]] = {"JPEG": (b"\xff\xd8\xff",)}
_STARTS |= {"PNG": (b"\x89PNG\r\n\x1a\n",), "GIF": (b"GIF87a", b"GIF89a")}
_STARTS |= {"TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")}


def find_format(name: str) -> Format:
    """The format of a suffix (".JPG") or name ("jpeg"), or `ImageError` with those known."""
    wanted = name.lower().lstrip(".")
    for known in FORMATS:
        if wanted == known.name.lower() or f".{wanted}" in known.suffixes:
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise ImageError(f"{name or 'no suffix'!r} is not a format that can be written; use {names}")


def is_writable(suffix: str) -> bool:
    """Whether some format that results can be written in has this suffix."""
    return any(suffix.lower() in known.suffixes for known in FORMATS)


def is_picture(path: Path) -> bool:
    """Whether the name ends like a picture's; its content may still be something else."""
    return path.suffix.lower() in READ_ONLY_SUFFIXES or is_writable(path.suffix)


def sniff(head: bytes) -> tuple[str, str] | None:
    """Name and libvips loader of the format that a file's first bytes, 32 or more, announce.

    Names lie, and libvips would hand unknown content to loaders (SVG, PDF) that are no
    business of ours; so the content decides, among the formats below.
    """
    name = next((name for name, starts in _STARTS.items() if head.startswith(starts)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        name = "WebP"
    elif head[4:8] == b"ftyp":
        brands = head[8:32]
        name = "AVIF" if b"avif" in brands or b"avis" in brands else "HEIC"
    return (name, _LOADERS[name]) if name else None


def is_animated(head: bytes) -> bool:
    """Whether a file's first bytes announce an animation of which libvips sees one picture.

    That is an AVIF or HEIC sequence, and a PNG with an animation's control chunk, which
    stands before the pixels, mostly in the first kilobytes.
    """
    if head.startswith(b"\x89PNG"):
        return b"\0\0\0\x08acTL" in head.partition(b"IDAT")[0]
    return head[4:8] == b"ftyp" and head[8:12] in (b"avis", b"msf1", b"hevc", b"hevx")


def is_hdr(head: bytes) -> bool:
    """Whether an AVIF or HEIC file's first bytes announce PQ or HLG, which libvips does not see.

    They stand in a box "colr" of kind "nclx"; an ICC profile, which is kept, stands in another.
    Of several pictures in a file the first that has such a box counts.
    """
    _, coded, codes = head.partition(b"colrnclx")
    profile = b"colrprof" in head or b"colrrICC" in head
    return bool(coded) and not profile and int.from_bytes(codes[2:4], "big") in _HDR

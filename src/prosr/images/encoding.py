"""Settings of encoders: quality, lossless coding, subsampling, compression."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import IO, Any

from prosr.errors import ConfigError, printable
from prosr.images.formats import Format

# fmt: off
_QUALITY = {str(quality): {"Q": quality} for quality in range(1, 101)}
_SUBSAMPLING = {"4:4:4": {"subsample_mode": "off"}, "4:2:0": {"subsample_mode": "on"}}
_LEVELS = {str(level): {"compression": level} for level in range(10)}
_METHODS = {name: {"compression": name} for name in ("none", "lzw", "deflate")}
_LOSSLESS = {"true": {"lossless": True}}
_ALWAYS: dict[str, dict[str, Any]] = {"true": {}}

SETTINGS: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "JPEG": {"quality": _QUALITY, "subsampling": _SUBSAMPLING},
    "PNG":  {"lossless": _ALWAYS, "compression": _LEVELS},
    "WebP": {"quality": _QUALITY, "lossless": _LOSSLESS},
    "TIFF": {"lossless": _ALWAYS, "compression": _METHODS},
    "AVIF": {"quality": _QUALITY, "lossless": _LOSSLESS, "subsampling": _SUBSAMPLING},
}
"""The settings that each format has, their values, and what these are to the saver. All have
"strip": `prosr.inference.pictures` leaves metadata out."""

Encoding = tuple[tuple[str, str], ...]
"""Names in `SETTINGS` with values."""
# fmt: on


def saver_options(known: Format, settings: Encoding, target: Path) -> dict[str, Any]:
    """Arguments of a format's saver for the file `target`.

    Raises `ConfigError` for settings that the format does not have.
    """
    options, given = dict(known.options), dict(settings)
    own = {**SETTINGS[known.name], "strip": _ALWAYS}
    if "lossless" in given and given.keys() & {"quality", "subsampling"}:
        raise ConfigError(f"lossless excludes {' or '.join(given.keys() - {'lossless'})}; give one")
    for name, value in settings:
        if name not in own:
            having = ", ".join(other for other in SETTINGS if name in SETTINGS[other])
            why = f"{known.name} has no {name}, only {having}; choose another format"
            raise ConfigError(f"{printable(str(target))}: {why}")
        if value not in own[name]:
            values = [*own[name]]
            few = f"{', '.join(values)}" if len(values) < 5 else f"{values[0]} to {values[-1]}"
            value = printable(value[:40])
            raise ConfigError(f"{name} {value} of {known.name} is not one of {few}")
        options |= own[name][value]
    return options


def is_lossless(path: Path, file_format: str) -> bool:
    """Whether a WebP or AVIF file is lossless, which libvips does not report."""
    with path.open("rb") as file:
        if file_format == "WebP":
            return webp_pixels(file)[0] == b"VP8L"
        codes = file.read(65_536).partition(b"colrnclx")[2]
        return file_format == "AVIF" and codes[4:6] == bytes(2)  # the matrix that keeps RGB


def webp_pixels(file: IO[bytes] | FileIO) -> tuple[bytes, int]:
    """The name of the chunk that holds the pixels of a WebP file, and its end.

    Metadata may follow. The name is empty if no pixels begin in the first megabyte.
    """
    file.seek(0)
    head, place, name = file.read(1_000_000), 12, b""
    while name not in (b"VP8L", b"VP8 ") and place < len(head):
        name, length = head[place : place + 4], head[place + 4 : place + 8]
        # Chunks have an even length.
        place += 8 + (int.from_bytes(length, "little") + 1) // 2 * 2
    return (name, place) if name in (b"VP8L", b"VP8 ") else (b"", sys.maxsize)

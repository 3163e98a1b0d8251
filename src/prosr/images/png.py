"""What PNG files say of their colours beside an ICC profile; libvips neither reads nor writes it.

A PNG file is its signature, then chunks: length, name, data, checksum. The first is the
header; those kept here stand between it and the pixels.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from prosr.files import replacing

_COLOURS = (b"sRGB", b"cHRM", b"gAMA", b"cICP", b"mDCV", b"cLLI")
"""sRGB; primaries and white; gamma; coding, of HDR too; the brightness it was mastered for."""

_SIGNATURE, _HEADER = 8, 33
_LONGEST = 1000


def read_colours(path: Path) -> bytes:
    """The chunks about colours as they are; those of a damaged file as far as they go."""
    found = b""
    with path.open("rb") as file:
        file.seek(_SIGNATURE)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big") + 4
            if head[4:] not in _COLOURS or length > _LONGEST:
                file.seek(length, io.SEEK_CUR)
            elif len(rest := file.read(length)) == length:
                found += head + rest
    return found


def add_colours(path: Path, chunks: bytes) -> None:
    """Put chunks after the header of a PNG file, which is written anew."""
    with replacing(path) as temporary, path.open("rb") as old, temporary.open("wb") as new:
        new.write(old.read(_HEADER) + chunks)
        shutil.copyfileobj(old, new, 1_000_000)

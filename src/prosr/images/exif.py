r"""EXIF in TIFF files, where libvips neither reads nor writes it.

EXIF is itself laid out as a TIFF file: directories (IFDs) of tagged values. Elsewhere it is
a block of its own ("Exif\0\0", then such a file); in a TIFF its directories are the file's.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from prosr.images.tiff import LONG, SENSELESS, Directory, TagValue, Tiff

_EXIF_IFD, _GPS_IFD, _INTEROP_IFD, _MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
_WIDTH, _HEIGHT = 0xA002, 0xA003

_DESCRIBING = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298)
"""Tags of the main directory that say what a picture is, not how its samples lie: title,
maker, model, software, date, artist, computer, rating, copyright."""

_PREFIX = b"Exif\0\0"
_LONGEST_BLOCK = 65_000


@dataclass(frozen=True)
class Exif:
    """The directories that matter: main (its describing tags), photo and GPS."""

    main: Directory = field(default_factory=dict)
    photo: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.main or self.photo or self.gps)


def read_tiff(path: Path) -> Exif:
    """What a TIFF file says of itself; nothing if its directories make no sense."""
    with path.open("rb") as stream:
        return _read(stream)


def read_block(block: bytes) -> Exif:
    """The content of an EXIF block; nothing if it makes no sense."""
    return _read(io.BytesIO(block.removeprefix(_PREFIX)))


def make_block(exif: Exif) -> bytes:
    """An EXIF block; a maker's note that would make it too long for a JPEG is left out."""
    photo = exif.photo
    for _ in range(2):
        stream = io.BytesIO(b"II*\0\0\0\0\0")
        _append(Tiff(stream), Exif(exif.main, photo, exif.gps), {}, 0)
        block = _PREFIX + stream.getvalue()
        if len(block) <= _LONGEST_BLOCK:
            return block
        photo = {tag: value for tag, value in photo.items() if tag != _MAKER_NOTE}
    return b""


def add_to_tiff(path: Path, exif: Exif, width: int, height: int) -> None:
    """Add EXIF to a TIFF file, whose main directory is written anew at the end."""
    sides = ((_WIDTH, width), (_HEIGHT, height))
    photo = exif.photo | {tag: TagValue.of(LONG, side) for tag, side in sides}
    with path.open("r+b") as stream:
        tiff = Tiff(stream)
        own, following = tiff.entries(tiff.first())
        _append(tiff, Exif(exif.main, photo, exif.gps), own, following)


def _read(stream: BinaryIO) -> Exif:
    try:
        tiff = Tiff(stream)
        main = tiff.directory(tiff.first())
        photo, gps = (
            tiff.directory(main[tag].number()) if tag in main else {}
            for tag in (_EXIF_IFD, _GPS_IFD)
        )
    except (*SENSELESS, OSError):
        return Exif()
    photo.pop(_INTEROP_IFD, None)
    return Exif({tag: main[tag] for tag in _DESCRIBING if tag in main}, photo, gps)


def _append(tiff: Tiff, exif: Exif, own: dict[int, bytes], following: int) -> None:
    """Write all directories at the end; the main one keeps the file's `own` entries."""
    entries = dict(own)
    for tag, directory in ((_EXIF_IFD, exif.photo), (_GPS_IFD, exif.gps)):
        if directory:
            place = tiff.write({t: tiff.entry(t, value) for t, value in directory.items()}, 0)
            entries[tag] = tiff.pointer(tag, place)
    entries |= {tag: tiff.entry(tag, value) for tag, value in exif.main.items()}
    tiff.set_first(tiff.write(entries, following))

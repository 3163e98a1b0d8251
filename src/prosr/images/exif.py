r"""EXIF in TIFF files, where libvips neither reads nor writes it.

EXIF is itself laid out as a TIFF file: directories (IFDs) of tagged values. Elsewhere it is
a block of its own ("Exif\0\0", then such a file); in a TIFF its directories are the file's.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    18: 8,
}
"""Bytes of one value of each TIFF type."""

_EXIF_IFD, _GPS_IFD, _INTEROP_IFD, _MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
_WIDTH, _HEIGHT = 0xA002, 0xA003
_LONG, _IFD8, _FRACTIONS = 4, 18, (5, 10)

_DESCRIBING = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298)
"""Tags of the main directory that say what a picture is, not how its samples lie: title,
maker, model, software, date, artist, computer, rating, copyright."""

_PREFIX = b"Exif\0\0"
_LONGEST_BLOCK = 65_000
_MOST_ENTRIES, _MOST_BYTES = 1000, 1_000_000


class Value(NamedTuple):
    """A tag's TIFF type, number of values and their bytes, little-endian."""

    kind: int
    values: int
    data: bytes

    def number(self) -> int:
        return int.from_bytes(self.data, "little")


Directory = dict[int, Value]


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
        _append(_Tiff(stream), Exif(exif.main, photo, exif.gps), {}, 0)
        block = _PREFIX + stream.getvalue()
        if len(block) <= _LONGEST_BLOCK:
            return block
        photo = {tag: value for tag, value in photo.items() if tag != _MAKER_NOTE}
    return b""


def add_to_tiff(path: Path, exif: Exif, width: int, height: int) -> None:
    """Add EXIF to a TIFF file, whose main directory is written anew at the end."""
    sides = ((_WIDTH, width), (_HEIGHT, height))
    photo = exif.photo | {tag: Value(_LONG, 1, struct.pack("<I", side)) for tag, side in sides}
    with path.open("r+b") as stream:
        tiff = _Tiff(stream)
        own, following = tiff.entries(tiff.first())
        _append(tiff, Exif(exif.main, photo, exif.gps), own, following)


def _read(stream: BinaryIO) -> Exif:
    try:
        tiff = _Tiff(stream)
        main = tiff.directory(tiff.first())
        photo, gps = (
            tiff.directory(main[tag].number()) if tag in main else {}
            for tag in (_EXIF_IFD, _GPS_IFD)
        )
    except (struct.error, KeyError, ValueError, OSError):
        return Exif()
    photo.pop(_INTEROP_IFD, None)
    return Exif({tag: main[tag] for tag in _DESCRIBING if tag in main}, photo, gps)


def _append(tiff: _Tiff, exif: Exif, own: dict[int, bytes], following: int) -> None:
    """Write all directories at the end; the main one keeps the file's `own` entries."""
    entries = dict(own)
    for tag, directory in ((_EXIF_IFD, exif.photo), (_GPS_IFD, exif.gps)):
        if directory:
            place = tiff.write({t: tiff.entry(t, value) for t, value in directory.items()}, 0)
            entries[tag] = tiff.pointer(tag, place)
    entries |= {tag: tiff.entry(tag, value) for tag, value in exif.main.items()}
    tiff.set_first(tiff.write(entries, following))


class _Tiff:
    """A TIFF file's directories, in its byte order and with its offsets (64-bit in BigTIFF)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        stream.seek(0)
        head = stream.read(4)
        self._order = {b"II": "<", b"MM": ">"}[head[:2]]
        self._big = {42: False, 43: True}[self._unpack("H", head[2:])]
        self._counts, self._offsets = ("Q", "Q") if self._big else ("H", "I")
        self._inline = 8 if self._big else 4
        self._entry = 12 + (8 if self._big else 0)

    def first(self) -> int:
        return self._number(8 if self._big else 4, self._offsets)

    def set_first(self, place: int) -> None:
        self._stream.seek(8 if self._big else 4)
        self._stream.write(self._pack(self._offsets, place))

    def entries(self, place: int) -> tuple[dict[int, bytes], int]:
        """A directory's entries as they are, by tag, and the place of the next directory."""
        count = self._number(place, self._counts)
        if not 0 < count <= _MOST_ENTRIES:
            raise ValueError
        raw = [self._stream.read(self._entry) for _ in range(count)]
        following = self._unpack(self._offsets, self._stream.read(self._inline))
        return {self._unpack("H", entry[:2]): entry for entry in raw}, following

    def directory(self, place: int) -> Directory:
        """A directory's values, without those that are too long or of no known type."""
        entries, _ = self.entries(place)
        values = {tag: self._value(entry) for tag, entry in entries.items()}
        return {tag: value for tag, value in values.items() if value}

    def write(self, entries: dict[int, bytes], following: int) -> int:
        """Write a directory at the end and return its place."""
        place = self._end()
        self._stream.write(self._pack(self._counts, len(entries)))
        self._stream.write(b"".join(entries[tag] for tag in sorted(entries)))
        self._stream.write(self._pack(self._offsets, following))
        return place

    def entry(self, tag: int, value: Value) -> bytes:
        """An entry for `value`, written at the end where it is too long for the entry."""
        data = value.data if self._order == "<" else _swapped(value.kind, value.data)
        if len(data) > self._inline:
            place = self._end()
            self._stream.write(data)
            data = self._pack(self._offsets, place)
        head = self._pack("H", tag) + self._pack("H", value.kind)
        count = self._pack(self._offsets, value.values)
        return head + count + data.ljust(self._inline, b"\0")

    def pointer(self, tag: int, place: int) -> bytes:
        """An entry that says where another directory is."""
        head = self._pack("H", tag) + self._pack("H", _IFD8 if self._big else _LONG)
        return head + self._pack(self._offsets, 1) + self._pack(self._offsets, place)

    def _value(self, entry: bytes) -> Value | None:
        kind = self._unpack("H", entry[2:4])
        count = self._unpack(self._offsets, entry[4 : 4 + self._inline])
        length = _SIZES.get(kind, 0) * count
        if not 0 < length <= _MOST_BYTES:
            return None
        data = entry[-self._inline :][:length]
        if length > self._inline:
            self._stream.seek(self._unpack(self._offsets, entry[-self._inline :]))
            data = self._stream.read(length)
        if len(data) != length:
            raise ValueError
        return Value(kind, count, data if self._order == "<" else _swapped(kind, data))

    def _number(self, place: int, code: str) -> int:
        self._stream.seek(place)
        return self._unpack(code, self._stream.read(struct.calcsize(f"<{code}")))

    def _unpack(self, code: str, data: bytes) -> int:
        number: int = struct.unpack(self._order + code, data)[0]
        return number

    def _pack(self, code: str, number: int) -> bytes:
        return struct.pack(self._order + code, number)

    def _end(self) -> int:
        """The end of the file, made even as TIFF wants it."""
        place = self._stream.seek(0, io.SEEK_END)
        return place + self._stream.write(b"\0" * (place % 2))


def _swapped(kind: int, data: bytes) -> bytes:
    """Values of a type in the other byte order; a fraction is two numbers."""
    size = _SIZES[kind] // 2 if kind in _FRACTIONS else _SIZES[kind]
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))

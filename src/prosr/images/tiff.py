r"""What libvips does not know of TIFF files: EXIF, stored strips, YCbCr without JPEG.

A TIFF file consists of directories (IFDs) of tagged values. So does EXIF: in other formats it
is a block, "Exif\0\0" and a TIFF of its own; in a TIFF its directories are those of the file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

LONG, LONG8, IFD8 = 4, 16, 18
_SIZES = dict.fromkeys((1, 2, 6, 7), 1) | dict.fromkeys((3, 8), 2)
_SIZES |= dict.fromkeys((4, 9, 11, 13), 4) | dict.fromkeys((5, 10, 12, 16, 18), 8)
"""Bytes of one value of each TIFF type."""

_STRIP_BYTES, _PLANES, _SEPARATE = 279, 284, 2
_COMPRESSION, _JPEGS, _PHOTOMETRIC, _YCBCR = 259, (6, 7), 262, 6
_FRACTIONS = (5, 10)
_MOST_ENTRIES, _MOST_BYTES = 1000, 1_000_000

_EXIF_IFD, _GPS_IFD, _INTEROP_IFD, _MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
_WIDTH, _HEIGHT = 0xA002, 0xA003

_DESCRIBING = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298)
"""The tags of the main directory that describe the picture and not its samples: title,
maker, model, software, date, artist, computer, rating, copyright."""

_PREFIX = b"Exif\0\0"
_LONGEST_BLOCK = 65_000


class TagValue(NamedTuple):
    """The TIFF type of a tag, how many values it has, and their bytes, little-endian."""

    kind: int
    values: int
    data: bytes

    def numbers(self) -> list[int]:
        """The values of a tag of unsigned integers."""
        return list(map(int, np.frombuffer(self.data, f"<u{_SIZES[self.kind]}")))

    @classmethod
    def of(cls, kind: int, *numbers: int) -> TagValue:
        """Unsigned integers as values of a type."""
        return cls(kind, len(numbers), np.array(numbers, f"<u{_SIZES[kind]}").tobytes())


Directory = dict[int, TagValue]


class Exif(NamedTuple):
    """The directories that matter: main (its describing tags), photo and GPS."""

    main: Directory
    photo: Directory
    gps: Directory


Entry = tuple[int, int, bytes]
"""Type, number of values, and the values in the file's byte order or where they are."""

_DAMAGED = (struct.error, KeyError, ValueError, OverflowError)
"""What reading raises if a file is no TIFF or an offset points beyond its end."""


def read_exif(path: Path) -> bytes:
    """The EXIF block of a TIFF file; empty if the file has no EXIF or is damaged.

    If a block is too long for JPEG, the maker note is left out.
    """
    with path.open("rb") as stream:
        found = _read_exif(stream)
    block = _exif_block(found)
    if len(block) > _LONGEST_BLOCK:
        found.photo.pop(_MAKER_NOTE, None)
        block = _exif_block(found)
    return block if any(found) and len(block) <= _LONGEST_BLOCK else b""


def add_exif(path: Path, block: bytes, width: int, height: int) -> None:
    """Append an EXIF block's directories to a TIFF file, and its main directory rewritten."""
    found = _read_exif(io.BytesIO(block.removeprefix(_PREFIX)))
    found.photo.update({_WIDTH: TagValue.of(LONG, width), _HEIGHT: TagValue.of(LONG, height)})
    with path.open("r+b") as stream:
        tiff = Tiff(stream)
        _append_exif(tiff, found, *tiff.entries(tiff.first()))


def largest_strip(path: Path) -> tuple[int, bool]:
    """Stored bytes of the longest strip, and whether each channel has its own strips.

    The length is 0 if the directory is damaged, or lists so many strips that each is short.
    """
    tags = _first_directory(path)
    longest = max(tags[_STRIP_BYTES].numbers()) if _STRIP_BYTES in tags else 0
    return min(longest, path.stat().st_size), _number(tags, _PLANES) == _SEPARATE


def is_bare_ycbcr(path: Path) -> bool:
    """Whether the colours are YCbCr without JPEG, whose decoder would convert them to RGB."""
    tags = _first_directory(path)
    return _number(tags, _PHOTOMETRIC) == _YCBCR and _number(tags, _COMPRESSION) not in _JPEGS


def _number(tags: Directory, tag: int) -> int:
    """The first number of a tag, which is 1 by default."""
    return tags[tag].numbers()[0] if tag in tags else 1


def _first_directory(path: Path) -> Directory:
    try:
        with path.open("rb") as stream:
            tiff = Tiff(stream)
            return tiff.directory(tiff.first())
    except (*_DAMAGED, OSError):
        return {}


class Tiff:
    """The directories of a TIFF or BigTIFF file, in either byte order.

    Reading a damaged file raises one of `_DAMAGED`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        stream.seek(0)
        self._order = {b"II": "<", b"MM": ">"}[stream.read(2)]
        self._big = {42: False, 43: True}[self._read("H")[0]]
        # Bytes of values that an entry holds itself; also where the first offset is.
        self._inline, self._offset, self._length = (8, "Q", "Q") if self._big else (4, "I", "H")
        self._entry = f"HH{self._offset}{self._inline}s"

    def first(self) -> int:
        """The place of the first directory."""
        return int(self._read(self._offset, self._inline)[0])

    def set_first(self, place: int) -> None:
        self._stream.seek(self._inline)
        self._write(self._offset, place)

    def entries(self, place: int) -> tuple[dict[int, Entry], int]:
        """The entries of a directory by tag, and the place of the next directory."""
        (length,) = self._read(self._length, place)
        if not 0 < length <= _MOST_ENTRIES:
            raise ValueError
        entries = [self._read(self._entry) for _ in range(length)]
        (following,) = self._read(self._offset)
        return {tag: (kind, count, data) for tag, kind, count, data in entries}, following

    def directory(self, place: int) -> Directory:
        """The values of a directory, without those that are too long or of an unknown type."""
        values = {tag: self._value(*entry) for tag, entry in self.entries(place)[0].items()}
        return {tag: value for tag, value in values.items() if value}

    def append(self, entries: Mapping[int, Entry], following: int = 0) -> int:
        """Write a directory at the end; return its place."""
        place = self._end()
        self._write(self._length, len(entries))
        for tag, entry in sorted(entries.items()):
            self._write(self._entry, tag, *entry)
        self._write(self._offset, following)
        return place

    def entry(self, value: TagValue) -> Entry:
        """An entry for `value`, whose bytes are written at the end if it cannot hold them."""
        data = value.data if self._order == "<" else _swapped(value.kind, value.data)
        if len(data) > self._inline:
            place = self._end()
            self._stream.write(data)
            data = struct.pack(self._order + self._offset, place)
        return value.kind, value.values, data

    def pointer(self, place: int) -> Entry:
        """An entry for the place of another directory."""
        return self.entry(TagValue.of(IFD8 if self._big else LONG, place))

    def _value(self, kind: int, count: int, data: bytes) -> TagValue | None:
        length = _SIZES.get(kind, 0) * count
        if not 0 < length <= _MOST_BYTES:
            return None
        if length > self._inline:
            self._stream.seek(struct.unpack(self._order + self._offset, data)[0])
            data = self._stream.read(length)
        if len(data) < length:
            raise ValueError
        data = data[:length]
        return TagValue(kind, count, data if self._order == "<" else _swapped(kind, data))

    def _read(self, code: str, place: int | None = None) -> tuple[Any, ...]:
        if place is not None:
            self._stream.seek(place)
        code = self._order + code
        return struct.unpack(code, self._stream.read(struct.calcsize(code)))

    def _write(self, code: str, *values: int | bytes) -> None:
        self._stream.write(struct.pack(self._order + code, *values))

    def _end(self) -> int:
        """The end of the file, made even as TIFF requires."""
        place = self._stream.seek(0, io.SEEK_END)
        return place + self._stream.write(b"\0" * (place % 2))


def _read_exif(stream: BinaryIO) -> Exif:
    try:
        tiff = Tiff(stream)
        main = tiff.directory(tiff.first())
        photo, gps = (
            tiff.directory(main[tag].numbers()[0]) if tag in main else {}
            for tag in (_EXIF_IFD, _GPS_IFD)
        )
    except (*_DAMAGED, OSError):
        return Exif({}, {}, {})
    photo.pop(_INTEROP_IFD, None)
    return Exif({tag: main[tag] for tag in _DESCRIBING if tag in main}, photo, gps)


def _exif_block(found: Exif) -> bytes:
    stream = io.BytesIO(b"II*\0\0\0\0\0")
    _append_exif(Tiff(stream), found, {}, 0)
    return _PREFIX + stream.getvalue()


def _append_exif(tiff: Tiff, found: Exif, own: dict[int, Entry], following: int) -> None:
    """Append all directories; the main one also gets the `own` entries of the file."""
    entries = own | {tag: tiff.entry(value) for tag, value in found.main.items()}
    for tag, directory in ((_EXIF_IFD, found.photo), (_GPS_IFD, found.gps)):
        if directory:
            place = tiff.append({t: tiff.entry(value) for t, value in directory.items()})
            entries[tag] = tiff.pointer(place)
    tiff.set_first(tiff.append(entries, following))


def _swapped(kind: int, data: bytes) -> bytes:
    """The values of a type in the other byte order; a fraction is two numbers."""
    size = _SIZES[kind] // 2 if kind in _FRACTIONS else _SIZES[kind]
    return np.frombuffer(data, f"u{size}").byteswap().tobytes()

r"""TIFF features that libvips lacks: EXIF, stored strips, YCbCr without JPEG.

A TIFF file consists of directories (IFDs) of tagged values, and so does EXIF. Other formats store
EXIF as a block: "Exif\0\0" and a TIFF file. In a TIFF file the EXIF directories belong to the file
itself.
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
_MOST_ENTRIES, _MOST_BYTES = 1000, 60_000
"""Longer directories are damaged; longer values, such as some maker notes, are dropped."""

_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
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


Exif = dict[int, dict[int, TagValue]]
"""Directories that are not empty: the main one by 0, others by the tags that point to them."""

Entry = tuple[int, int, bytes]
"""Type, number of values, and the values in the file's byte order, or their offset."""

_DAMAGED = (struct.error, KeyError, ValueError, OverflowError)
"""Errors that reading raises if a file is not TIFF or an offset points beyond its end."""


def read_exif(path: Path) -> bytes:
    """The EXIF block of a TIFF file; empty if missing, damaged or too long for JPEG."""
    with path.open("rb") as stream:
        found = _read_exif(stream)
    alone = io.BytesIO(b"II*\0\0\0\0\0")
    _append_exif(Tiff(alone), found, {})
    block = _PREFIX + alone.getvalue()
    return block if found and len(block) <= _LONGEST_BLOCK else b""


def add_exif(path: Path, block: bytes, width: int, height: int) -> None:
    """Append an EXIF block's directories to a TIFF file, and its main directory rewritten."""
    found = _read_exif(io.BytesIO(block.removeprefix(_PREFIX)))
    size = {_WIDTH: TagValue.of(LONG, width), _HEIGHT: TagValue.of(LONG, height)}
    found[_EXIF_IFD] = found.get(_EXIF_IFD, {}) | size
    with path.open("r+b") as stream:
        tiff = Tiff(stream)
        _append_exif(tiff, found, tiff.entries(tiff.first))


def largest_strip(path: Path) -> tuple[int, bool]:
    """Stored bytes of the longest strip, and whether each channel has its own strips.

    The length is 0 if the directory is damaged, or lists so many strips that each is short.
    """
    tags = _numbers(path)
    longest = max(tags.get(_STRIP_BYTES, [0]))
    return min(longest, path.stat().st_size), tags.get(_PLANES) == [_SEPARATE]


def is_bare_ycbcr(path: Path) -> bool:
    """Whether the colours are YCbCr without JPEG, whose decoder would convert them to RGB."""
    tags = _numbers(path)
    return tags.get(_PHOTOMETRIC) == [_YCBCR] and tags.get(_COMPRESSION, [1])[0] not in _JPEGS


def _numbers(path: Path) -> dict[int, list[int]]:
    """The first directory's tags, as unsigned integers; empty if it is damaged."""
    try:
        with path.open("rb") as stream:
            tiff = Tiff(stream)
            return {tag: value.numbers() for tag, value in tiff.directory(tiff.first).items()}
    except (*_DAMAGED, OSError):
        return {}


class Tiff:
    """The directories of a TIFF or BigTIFF file, in either byte order.

    `first` is the place of the first directory, `pointer` the type of tags that hold places.
    Reading a damaged file raises one of `_DAMAGED`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        stream.seek(0)
        self._order = {b"II": "<", b"MM": ">"}[stream.read(2)]
        big = {42: False, 43: True}[self._read("H")[0]]
        # Bytes of values that an entry holds itself; also where the first offset is.
        self._inline, self._offset, self._length = (8, "Q", "Q") if big else (4, "I", "H")
        self._entry = f"HH{self._offset}{self._inline}s"
        self.pointer = IFD8 if big else LONG
        self.first = int(self._read(self._offset, self._inline)[0])

    def set_first(self, place: int) -> None:
        self._stream.seek(self._inline)
        self._write(self._offset, place)

    def entries(self, place: int) -> dict[int, Entry]:
        """The entries of a directory by tag."""
        (length,) = self._read(self._length, place)
        if not 0 < length <= _MOST_ENTRIES:
            raise ValueError
        entries = [self._read(self._entry) for _ in range(length)]
        return {tag: (kind, count, data) for tag, kind, count, data in entries}

    def directory(self, place: int) -> dict[int, TagValue]:
        """The values of a directory, without those that are too long or of an unknown type."""
        values = {tag: self._value(*entry) for tag, entry in self.entries(place).items()}
        return {tag: value for tag, value in values.items() if value}

    def append(self, entries: Mapping[int, Entry]) -> int:
        """Append a directory without a successor; return its offset."""
        place = self._end()
        self._write(self._length, len(entries))
        for tag, entry in sorted(entries.items()):
            self._write(self._entry, tag, *entry)
        self._write(self._offset, 0)
        return place

    def entry(self, value: TagValue) -> Entry:
        """An entry for `value`, whose bytes are written at the end if it cannot hold them."""
        data = value.data if self._order == "<" else _swapped(value.kind, value.data)
        if len(data) > self._inline:
            place = self._end()
            self._stream.write(data)
            data = struct.pack(self._order + self._offset, place)
        return value.kind, value.values, data

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
        main = tiff.directory(tiff.first)
        found = {
            tag: tiff.directory(main[tag].numbers()[0])
            for tag in (_EXIF_IFD, _GPS_IFD)
            if tag in main
        }
    except (*_DAMAGED, OSError):
        return {}
    found.get(_EXIF_IFD, {}).pop(_INTEROP_IFD, None)
    found[0] = {tag: main[tag] for tag in _DESCRIBING if tag in main}
    return {tag: directory for tag, directory in found.items() if directory}


def _append_exif(tiff: Tiff, found: Exif, own: Mapping[int, Entry]) -> None:
    """Append all directories; the main one also gets the `own` entries of the file."""
    main = dict(own)
    for pointer, directory in found.items():
        entries = {tag: tiff.entry(value) for tag, value in directory.items()}
        if pointer:
            main[pointer] = tiff.entry(TagValue.of(tiff.pointer, tiff.append(entries)))
        else:
            main |= entries
    tiff.set_first(tiff.append(main))


def _swapped(kind: int, data: bytes) -> bytes:
    """The values of a type in the other byte order; a fraction is two numbers."""
    size = _SIZES[kind] // 2 if kind in _FRACTIONS else _SIZES[kind]
    return np.frombuffer(data, f"u{size}").byteswap().tobytes()

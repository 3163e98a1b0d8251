"""The directories (IFDs) of TIFF files: reading, and writing at the end of a file."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

SHORT, LONG, LONG8, IFD8 = 3, 4, 16, 18
_SIZES = dict.fromkeys((1, 2, 6, 7), 1) | dict.fromkeys((3, 8), 2)
_SIZES |= dict.fromkeys((4, 9, 11, 13), 4) | dict.fromkeys((5, 10, 12, 16, 18), 8)
"""Bytes of one value of each TIFF type."""

_STRIP_BYTES, _PLANES, _SEPARATE = 279, 284, 2
_COMPRESSION, _JPEGS, _PHOTOMETRIC, _YCBCR = 259, (6, 7), 262, 6
_FRACTIONS = (5, 10)
_MOST_ENTRIES, _MOST_BYTES = 1000, 1_000_000


class TagValue(NamedTuple):
    """A tag's TIFF type, number of values and their bytes, little-endian."""

    kind: int
    values: int
    data: bytes

    def number(self) -> int:
        return int.from_bytes(self.data, "little")

    def numbers(self) -> list[int]:
        size = _SIZES[self.kind]
        parts = (self.data[at : at + size] for at in range(0, len(self.data), size))
        return [int.from_bytes(part, "little") for part in parts]

    @classmethod
    def of(cls, kind: int, *numbers: int) -> TagValue:
        """Whole numbers as a value of one of the integer types above."""
        size = _SIZES[kind]
        return cls(kind, len(numbers), b"".join(n.to_bytes(size, "little") for n in numbers))


Directory = dict[int, TagValue]

SENSELESS = (struct.error, KeyError, ValueError, OverflowError)
"""What reading a file raises that is no TIFF, or that points to where no file reaches."""


def make_header(tags: Directory) -> bytes:
    """The beginning of a BigTIFF in this machine's byte order, up to where its pixels go."""
    head = b"II+\0\x08\0\0\0" if sys.byteorder == "little" else b"MM\0+\0\x08\0\0"
    stream = io.BytesIO(head + bytes(8))
    tiff = Tiff(stream)
    tiff.set_first(tiff.write({tag: tiff.entry(tag, value) for tag, value in tags.items()}, 0))
    return stream.getvalue()


def largest_strip(path: Path) -> tuple[int, bool]:
    """Bytes of the longest strip as it is stored, and whether each channel has its own strips.

    0 for a file whose directory makes no sense, or of strips so many that each is short.
    """
    tags = _first_directory(path)
    longest = max(tags.get(_STRIP_BYTES, TagValue.of(LONG, 0)).numbers(), default=0)
    apart = tags.get(_PLANES, TagValue.of(SHORT, 1)).number() == _SEPARATE
    return min(longest, path.stat().st_size), apart


def is_bare_ycbcr(path: Path) -> bool:
    """Whether colours are stored as YCbCr and no JPEG decoder is there to make them RGB."""
    tags = _first_directory(path)
    colours, compression = (
        tags.get(tag, TagValue.of(SHORT, 1)).number() for tag in (_PHOTOMETRIC, _COMPRESSION)
    )
    return colours == _YCBCR and compression not in _JPEGS


def _first_directory(path: Path) -> Directory:
    try:
        with path.open("rb") as stream:
            tiff = Tiff(stream)
            return tiff.directory(tiff.first())
    except (*SENSELESS, OSError):
        return {}


class Tiff:
    """A TIFF file's directories, in its byte order and with its offsets (64-bit in BigTIFF).

    What makes no sense raises one of `SENSELESS`.
    """

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

    def write(self, entries: Mapping[int, bytes], following: int) -> int:
        """Write a directory at the end and return its place."""
        place = self._end()
        self._stream.write(self._pack(self._counts, len(entries)))
        self._stream.write(b"".join(entries[tag] for tag in sorted(entries)))
        self._stream.write(self._pack(self._offsets, following))
        return place

    def entry(self, tag: int, value: TagValue) -> bytes:
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
        head = self._pack("H", tag) + self._pack("H", IFD8 if self._big else LONG)
        return head + self._pack(self._offsets, 1) + self._pack(self._offsets, place)

    def _value(self, entry: bytes) -> TagValue | None:
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
        return TagValue(kind, count, data if self._order == "<" else _swapped(kind, data))

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

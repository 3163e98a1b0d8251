"""The directories (IFDs) of a TIFF file, and what libvips does not tell of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8, IFD8 = 2, 3, 4, 5, 7, 16, 18
_CODES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4"}
_CODES |= {11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8", 129: "u1"}
"""The numbers of each TIFF type; a fraction (types 5 and 10) is two of them."""

_SUBFILE, _STORAGE = 254, (258, 259, 262, 279, 284, 330)
_BITS, _COMPRESSION, _PHOTOMETRIC, _STRIP_BYTES, _PLANES, _SUB_IFDS = _STORAGE
_JPEGS, _YCBCR, _LAB, _FILTER_ARRAY, _SEPARATE, _REDUCED, _MASK = (6, 7), 6, 8, 32803, 2, 1, 4
_FRACTIONS, _MOST_BITS = (5, 10), 32
_MOST_ENTRIES, _MOST_PAGES, _MOST_NUMBERS = 1000, 1000, 15_000
_BUDGET = 4_000_000
"""Bytes that may be read from the directories of one file. Entries that all point to the same bytes
can state far more than the file has."""

DAMAGED = (struct.error, KeyError, TypeError, ValueError, ArithmeticError, OSError)
"""Errors that reading raises if a file is not TIFF, states more than `_BUDGET`, or points beyond
its end."""


class TagValue(NamedTuple):
    """The TIFF type of a tag, how many values it has, and their bytes, little-endian."""

    kind: int
    values: int
    data: bytes

    def numbers(self) -> list[Any]:
        """The values: int, float or Fraction. Raises `ZeroDivisionError`."""
        numbers = np.frombuffer(self.data, "<" + _CODES[self.kind]).tolist()
        if self.kind in _FRACTIONS:
            return [Fraction(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
        return list(numbers)

    @classmethod
    def of(cls, kind: int, *numbers: Any) -> TagValue:
        """Numbers as values of a type; fractions are rounded as far as necessary.

        Raises `OverflowError` or `ValueError` if the type cannot hold them.
        """
        parts: list[Any] = list(numbers)
        if kind == RATIONAL:
            most = 2**32 - 1
            near = (Fraction(n).limit_denominator(int(most / max(n, 1)) or 1) for n in numbers)
            parts = [part for n in near for part in (n.numerator, n.denominator)]
        return cls(kind, len(numbers), np.array(parts, "<" + _CODES[kind]).tobytes())

    @classmethod
    def of_text(cls, text: str) -> TagValue:
        data = text.encode(errors="surrogateescape") + b"\0"
        return cls(ASCII, len(data), data)

    def swapped(self) -> bytes:
        """The bytes in the other order."""
        return np.frombuffer(self.data, _CODES[self.kind]).byteswap().tobytes()


Directory = dict[int, TagValue]


Entry = tuple[int, int, bytes]
"""Type, number of values, and the values in the file's byte order, or their offset."""


class Storage(NamedTuple):
    """How a TIFF file stores its samples.

    `strip` is the length in bytes of the longest strip, 0 if it has so many that each is short.
    With `apart` each channel has its own strips. `refused` is what libvips cannot or must not read:
    raw files, of which it takes the thumbnail for the picture, 8-bit Lab, samples of 64 bits, and
    YCbCr without JPEG, whose decoder would convert it. `pages` are the numbers of the pages that
    are neither reduced copies, such as thumbnails, nor masks.
    """

    strip: int = 0
    apart: bool = False
    refused: str = ""
    pages: tuple[int, ...] = (0,)


def storage(path: Path) -> Storage:
    """How a TIFF file stores its samples; the default if its directories are damaged."""
    kinds: list[int] = []
    try:
        with path.open("rb") as stream:
            tiff = Tiff(stream)
            tags = tiff.numbers(tiff.first, *_STORAGE)
            longest = min(int(max(tags.get(_STRIP_BYTES, [0]))), path.stat().st_size)
            place = tiff.first
            while place and len(kinds) < _MOST_PAGES:
                kinds += map(int, tiff.numbers(place, _SUBFILE).get(_SUBFILE, [0])[:1])
                place = tiff.following
    except DAMAGED:
        return Storage()
    colours, jpeg = tags.get(_PHOTOMETRIC), tags.get(_COMPRESSION, [1])[0] in _JPEGS
    raw = colours == [_FILTER_ARRAY] or (kinds[0] & _REDUCED and _SUB_IFDS in tags)
    refused = "a camera's raw file; develop it and save it as TIFF" if raw else ""
    if colours == [_YCBCR] and not jpeg:
        refused = "YCbCr without JPEG compression; convert it to RGB"
    if colours == [_LAB] and tags.get(_BITS, [0])[0] == 8:
        refused = "8-bit Lab; convert it to RGB, or to 16 bits"
    if max(tags.get(_BITS, [0])) > _MOST_BITS:
        refused = "a TIFF of 64-bit or complex samples; convert it to 32-bit float"
    pages = tuple(n for n, kind in enumerate(kinds) if not kind & (_REDUCED | _MASK))
    return Storage(longest, tags.get(_PLANES) == [_SEPARATE], refused, pages or (0,))


class Tiff:
    """The directories of a TIFF or BigTIFF file, in either byte order.

    `first` is the place of the first directory, `following` that of the one after the last read,
    `pointer` the type of tags that hold places. `damaged` states that a value was outside the file.
    `written` has the places of data that the file already holds. Reading a damaged directory raises
    one of `DAMAGED`.
    """

    def __init__(self, stream: BinaryIO, written: Mapping[bytes, int] | None = None) -> None:
        self._stream, self._left, self._written = stream, _BUDGET, written or {}
        self.following, self.damaged = 0, False
        self._end = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.order = stream.read(2)
        self._order = {b"II": "<", b"MM": ">"}[self.order]
        big = {42: False, 43: True}[self._read("H")[0]]
        # Bytes of values that an entry holds itself; also where the first offset is.
        self._inline, self._offset, self._length = (8, "Q", "Q") if big else (4, "I", "H")
        self._entry = f"HH{self._offset}{self._inline}s"
        self.pointer = IFD8 if big else LONG
        self._stream.seek(self._inline)
        self.first = int(self._read(self._offset)[0])

    def set_first(self, place: int) -> None:
        self._stream.seek(self._inline)
        self._stream.write(struct.pack(self._order + self._offset, place))

    def entries(self, place: int) -> dict[int, Entry]:
        """The entries of a directory by tag."""
        self._stream.seek(place)
        (length,) = self._read(self._length)
        if length > _MOST_ENTRIES:
            raise ValueError
        entries = [self._read(self._entry) for _ in range(length)]
        (self.following,) = self._read(self._offset)
        return {tag: (kind, count, data) for tag, kind, count, data in entries}

    def directory(self, place: int, without: Collection[int] = ()) -> Directory:
        """The values of a directory that are inside the file and of a known type."""
        entries = self.entries(place)
        values = {tag: self._value(*entries[tag]) for tag in entries.keys() - set(without)}
        found = {tag: value for tag, value in values.items() if value}
        self.damaged |= len(found) < len(values)
        return found

    def place_in(self, entry: Entry) -> int:
        """The place of the bytes that an entry does not hold itself."""
        return int(struct.unpack(self._order + self._offset, entry[2])[0])

    def numbers(self, place: int, *tags: int) -> dict[int, list[Any]]:
        """The numbers of some tags of a directory, unless they are very many."""
        entries = self.entries(place)
        found = {tag: entries[tag] for tag in tags if tag in entries}
        values = {tag: self._value(*e) for tag, e in found.items() if e[1] <= _MOST_NUMBERS}
        return {tag: value.numbers() for tag, value in values.items() if value}

    def append(self, entries: Mapping[int, Entry]) -> int:
        """Append a directory without a successor; return its offset."""
        rows = b"".join(
            struct.pack(self._order + self._entry, tag, *entries[tag]) for tag in sorted(entries)
        )
        count = struct.pack(self._order + self._length, len(entries))
        return self._append(count + rows + bytes(self._inline))

    def entry(self, value: TagValue) -> Entry:
        """An entry for `value`, whose bytes are written at the end if it cannot hold them."""
        data = value.data if self._order == "<" else value.swapped()
        if len(data) > self._inline:
            place = self._written.get(data) or self._append(data)
            data = struct.pack(self._order + self._offset, place)
        return value.kind, value.values, data

    def _value(self, kind: int, count: int, data: bytes) -> TagValue | None:
        code = np.dtype(_CODES.get(kind, "V0"))
        length = code.itemsize * count * (2 if kind in _FRACTIONS else 1)
        place = self.place_in((kind, count, data)) if length > self._inline else 0
        if not length or place + length > self._end:
            return None
        if place:
            self._stream.seek(place)
            data = self._take(length)
        value = TagValue(kind, count, data[:length])
        return value if self._order == "<" else value._replace(data=value.swapped())

    def _take(self, length: int) -> bytes:
        """Read bytes within the budget of the file. Raises `ValueError` beyond it."""
        self._left -= length
        if self._left < 0:
            raise ValueError
        return self._stream.read(length)

    def _read(self, code: str) -> tuple[Any, ...]:
        return struct.unpack(self._order + code, self._take(struct.calcsize(self._order + code)))

    def _append(self, data: bytes) -> int:
        """Write data at the end of the file, made even as TIFF requires; return the place."""
        end = self._stream.seek(0, io.SEEK_END)
        self._stream.write(bytes(end % 2) + data)
        return end + end % 2


def sample_header(
    size: tuple[int, int], channels: int, dtype: np.dtype[Any], strip: int = 1_000_000
) -> bytes:
    """The header that makes the little-endian samples after it an uncompressed BigTIFF.

    `size` is (height, width), `strip` the bytes of samples in a strip, at least a row.
    """
    (height, width), row = size, size[1] * channels * dtype.itemsize
    rows = min(height, max(1, strip // row))
    tops = range(0, height, rows)
    tags = {
        256: [width],
        257: [height],
        258: [8 * dtype.itemsize] * channels,
        259: [1],  # not compressed
        262: [1 if channels < 3 else 2],  # gray with 0 for black, or RGB
        277: [channels],
        278: [rows],
        279: [min(rows, height - top) * row for top in tops],
        338: [2] if channels in (2, 4) else [],  # alpha, not premultiplied
        339: [3 if dtype.kind == "f" else 1] * channels,
    }
    # The first round finds the length of the header, the second writes the offsets after it.
    header = b""
    for _ in range(2):
        tags[273] = [len(header) + top * row for top in tops]
        stream = io.BytesIO(b"II+\0\x08\0\0\0" + bytes(8))
        tiff = Tiff(stream)
        values = {tag: TagValue.of(LONG8, *numbers) for tag, numbers in tags.items() if numbers}
        tiff.set_first(tiff.append({tag: tiff.entry(value) for tag, value in values.items()}))
        header = stream.getvalue()
    return header

"""MATLAB 5 `.mat` files, read with every length checked before it is believed.

They hold data and no code. scipy's reader would do for honest files, but a damaged one can
crash the interpreter in it (met by flipping bits, scipy 1.17).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from prosr.checkpoints.torchfiles import Refused

MAGIC = b"MATLAB 5.0 MAT-file"
# The largest file that was released has 3 MB and little more unpacked.
MAX_UNPACKED = 64 << 20
MAX_DEPTH = 16
MAX_DIMENSIONS = 8

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8"}
_NUMBERS |= {12: "<i8", 13: "<u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le"}
_DAMAGED = "it is cut short or garbled"


def unpack(data: bytes) -> dict[str, Any]:
    """Return the variables in a file's content. Raises `Refused`.

    A number array is a numpy array, a text is a str, a cell array a list of its elements
    in their order in memory, a struct array a list of dicts; anything else is None.
    """
    if len(data) < _HEADER or data[_HEADER - 2 : _HEADER] != b"IM":
        raise Refused("its header is not that of a little-endian MATLAB 5 file")
    variables, left = {}, MAX_UNPACKED
    for kind, body in _elements(memoryview(data)[_HEADER:]):
        content = [(kind, body)]
        if kind == _COMPRESSED:
            unpacked = _decompress(body, left)
            left -= len(unpacked)
            content = list(_elements(memoryview(unpacked)))
        for inner, matrix in content:
            if inner == _MATRIX:
                name, value = _matrix(matrix, 0)
                variables[name] = value
    return variables


def _decompress(body: memoryview, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused(f"its compressed data is damaged ({error})") from error
    if len(unpacked) > limit:
        raise Refused(f"it unpacks to more than {MAX_UNPACKED >> 20} MiB")
    return unpacked


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; those of up to four bytes share a word with their tag."""
    place = 0
    while place < len(data):
        if len(data) - place < 8:
            raise Refused(_DAMAGED)
        kind, length = struct.unpack_from("<II", data, place)
        start = place + 8
        if kind >> 16:
            kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
            if length > 4:
                raise Refused(_DAMAGED)
        if length > len(data) - start:
            raise Refused(_DAMAGED)
        yield kind, data[start : start + length]
        place = start + length
        if kind != _COMPRESSED:
            place += -place % 8


def _matrix(body: memoryview, depth: int) -> tuple[str, Any]:
    """Name and value of an array."""
    if not body:
        return "", np.empty((0, 0))
    if depth > MAX_DEPTH:
        raise Refused("it is nested too deeply")
    parts = _elements(body)
    flags = _numbers(*_next(parts))
    kind = int(flags[0]) & 0xFF if flags.size else 0
    if kind not in (_CELL, _STRUCT, _CHAR, *_NUMERIC):
        return "", None
    shape = tuple(int(n) for n in _numbers(*_next(parts)))
    name = bytes(_next(parts)[1]).decode("latin-1")
    # Each element takes at least a byte of the file, whatever it claims of itself.
    if not 2 <= len(shape) <= MAX_DIMENSIONS or min(shape) < 0 or math.prod(shape) > len(body):
        raise Refused(_DAMAGED)
    if kind in _NUMERIC:
        values = _numbers(*_next(parts))
        if values.size != math.prod(shape):
            raise Refused(_DAMAGED)
        return name, values.reshape(shape, order="F")
    if kind == _CHAR:
        return name, _text(*_next(parts)) if math.prod(shape) else ""
    if kind == _CELL:
        return name, [_inner(parts, depth) for _ in range(math.prod(shape))]
    return name, _structs(parts, math.prod(shape), depth)


def _structs(
    parts: Iterator[tuple[int, memoryview]], count: int, depth: int
) -> list[dict[str, Any]]:
    lengths = _numbers(*_next(parts))
    names = bytes(_next(parts)[1])
    length = int(lengths[0]) if lengths.size else 0
    if length < 1 or len(names) % length:
        raise Refused(_DAMAGED)
    fields = [
        names[start : start + length].split(b"\0")[0].decode("latin-1")
        for start in range(0, len(names), length)
    ]
    if not fields and count > 1:
        # Nothing in the file says how many of these there are but their number.
        raise Refused(_DAMAGED)
    return [{field: _inner(parts, depth) for field in fields} for _ in range(count)]


def _inner(parts: Iterator[tuple[int, memoryview]], depth: int) -> Any:
    kind, body = _next(parts)
    if kind != _MATRIX:
        raise Refused(_DAMAGED)
    return _matrix(body, depth + 1)[1]


def _numbers(kind: int, body: memoryview) -> np.ndarray[Any, np.dtype[Any]]:
    if kind not in _NUMBERS or len(body) % np.dtype(_NUMBERS[kind]).itemsize:
        raise Refused(_DAMAGED)
    return np.frombuffer(body, _NUMBERS[kind])


def _text(kind: int, body: memoryview) -> str:
    try:
        return bytes(body).decode(_TEXTS[kind])
    except (KeyError, UnicodeDecodeError) as error:
        raise Refused(_DAMAGED) from error


def _next(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    part = next(parts, None)
    if part is None:
        raise Refused(_DAMAGED)
    return part

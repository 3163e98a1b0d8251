"""LapSRN and MS-LapSRN as their authors released them: MatConvNet's networks in `.mat` files.

MATLAB 5 files hold data and no code. Every length is checked before use. scipy's reader handles
undamaged files, but flipped bits make it crash the interpreter (scipy 1.17).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prosr.checkpoints.torchfiles import Refused
from prosr.checkpoints.weights import Found
from prosr.config import PRESETS
from prosr.layouts import MsLapSRNConfig
from prosr.nets.blocks import LEAK

MAGIC = b"MATLAB 5.0 MAT-file"
# The largest released file has 3 MB, and little more unpacked.
MAX_UNPACKED = 64 << 20

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8"}
_NUMBERS |= {12: "<i8", 13: "<u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le"}

Elements = Iterator[tuple[int, memoryview]]

_KINDS = {"weight": "f", "bias": "b"}
_PARTS = {
    "entry": "input_conv",
    "upconv": "upconv",
    "residual": "residual_conv",
    "image_up": "img_up",
}


def read_matconvnet(path: Path) -> Found:
    """Return LapSRN or MS-LapSRN from a `.mat`. Raises `Refused` for anything else."""
    theirs, layers = unpack(path.read_bytes())
    if "conv1_f" in theirs:
        used = [name for name, tensors in layers.items() if "conv1_f" in tensors]
        recursions = sum(name.startswith("x2SR_level1_") for name in used)
        if not recursions:
            raise Refused("its graph has no level for scale 2")
        shared = MsLapSRNConfig(recursions=recursions)
        name = "mslapsrn" if shared == PRESETS["mslapsrn"] else f"mslapsrn-d5r{recursions}"
        origin = "released by the authors of MS-LapSRN"
        return name, shared, theirs, _mslapsrn_name, origin
    levels = sum(key.endswith("_upconv_f") for key in theirs)
    name = f"lapsrn-x{1 << levels}"
    if name not in PRESETS:
        raise Refused("it is neither LapSRN for scale 2, 4 or 8 nor MS-LapSRN")
    rename = partial(_lapsrn_name, levels=levels)
    return name, PRESETS[name], theirs, rename, "released by the authors of LapSRN"


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Return a file's tensors, and for each layer the names of its tensors.

    Tensors have PyTorch's order of dimensions. Raises `Refused`, also for leaky ReLUs with another
    slope than ours.
    """
    variables = read_variables(data)
    try:
        (net,) = variables["net"]
        tensors = {str(tensor["name"]): _tensor(tensor["value"]) for tensor in net["params"]}
        layers = {str(layer["name"]): list(layer["params"]) for layer in net["layers"]}
        blocks = [layer["block"][0] for layer in net["layers"]]
        leaks = {round(float(block["leak"].item()), 6) for block in blocks if "leak" in block}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Refused("it is a .mat file, but not a network saved by MatConvNet") from error
    if leaks != {LEAK}:
        shown = ", ".join(map(str, sorted(leaks))) or "none"
        raise Refused(f"its leaky ReLUs need slope {LEAK}, but have: {shown}")
    return tensors, layers


def _tensor(array: Any) -> Tensor:
    """Kernels are height × width × in × out (transposed: out × in), without trailing 1s."""
    if array.ndim > 4:
        raise ValueError("not a kernel")
    array = array.astype(np.float32)
    if array.ndim == 2 and 1 in array.shape:
        return torch.from_numpy(array.ravel())
    array = array.reshape(*array.shape, *(1,) * (4 - array.ndim))
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))


def _mslapsrn_name(name: str) -> str:
    *path, kind = name.removeprefix("net.").split(".")
    part = f"conv{int(path[1]) + 1}" if path[0] == "convs" else _PARTS[path[0]]
    return f"{part}_{_KINDS[kind]}"


def _lapsrn_name(name: str, levels: int) -> str:
    """Their level numbers decrease towards the largest picture; ours increase."""
    if not name.startswith("net.levels."):
        return _mslapsrn_name(name)
    i, inner = name.removeprefix("net.levels.").split(".", 1)
    return f"level{levels - int(i)}_{_mslapsrn_name(inner)}"


def read_variables(data: bytes) -> dict[str, Any]:
    """Return the variables in a file's content. Raises `Refused`.

    An array of numbers is a numpy array, text a str, a cell array a list of its elements in
    column-major order, a struct array a list of dicts. Anything else is None.
    """
    if len(data) < _HEADER or data[_HEADER - 2 : _HEADER] != b"IM":
        raise Refused("it has no header of a little-endian MATLAB 5 file; save it with -v7")
    variables, left = {}, MAX_UNPACKED
    try:
        for kind, body in _elements(memoryview(data)[_HEADER:]):
            content = [(kind, body)]
            if kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(body, left + 1)
                left -= len(unpacked)
                if left < 0:
                    raise Refused(f"it unpacks to more than {MAX_UNPACKED >> 20} MiB")
                content = list(_elements(memoryview(unpacked)))
            for inner, matrix in content:
                if inner == _MATRIX:
                    name, value = _matrix(matrix)
                    variables[name] = value
    # Damage makes numpy, zlib and the lookup of elements raise these.
    except (LookupError, RecursionError, StopIteration, ValueError, struct.error, zlib.error) as e:
        raise Refused("it is damaged; get another copy") from e
    return variables


def _elements(data: memoryview) -> Elements:
    """Yield the type and content of each element; one of up to four bytes is in its own tag."""
    place = 0
    while place < len(data):
        kind, length = struct.unpack_from("<II", data, place)
        start, most = place + 8, len(data) - place - 8
        if kind >> 16:
            kind, length, start, most = kind & 0xFFFF, kind >> 16, place + 4, 4
        if length > most:
            raise ValueError("an element is longer than the file")
        yield kind, data[start : start + length]
        place = start + length
        if kind != _COMPRESSED:
            place += -place % 8


def _matrix(body: memoryview) -> tuple[str, Any]:
    """Return the name and value of an array."""
    if not body:
        return "", np.empty((0, 0))
    parts = _elements(body)
    kind = int(_numbers(parts)[0]) & 0xFF
    if kind not in (_CELL, _STRUCT, _CHAR, *_NUMERIC):
        return "", None
    shape = tuple(int(n) for n in _numbers(parts))
    name = bytes(next(parts)[1]).decode("latin-1")
    # Each element takes at least one byte of the file.
    if len(shape) < 2 or min(shape) < 0 or math.prod(shape) > len(body):
        raise ValueError("the array is larger than the file")
    if kind in _NUMERIC:
        return name, _numbers(parts).reshape(shape, order="F")
    if kind == _CHAR:
        encoding, text = next(parts) if math.prod(shape) else (1, b"")
        return name, bytes(text).decode(_TEXTS[encoding])
    if kind == _CELL:
        return name, [_inner(parts) for _ in range(math.prod(shape))]
    return name, _structs(parts, math.prod(shape))


def _structs(parts: Elements, count: int) -> list[dict[str, Any]]:
    length = int(_numbers(parts)[0])
    names = bytes(next(parts)[1])
    fields = [
        names[start : start + length].split(b"\0")[0].decode("latin-1")
        for start in range(0, len(names), length)
    ]
    # Structs without fields take no bytes, so nothing in the file bounds their number.
    if not fields and count > 1:
        raise ValueError("structs without fields")
    return [{field: _inner(parts) for field in fields} for _ in range(count)]


def _inner(parts: Elements) -> Any:
    kind, body = next(parts)
    if kind != _MATRIX:
        raise ValueError("not an array")
    return _matrix(body)[1]


def _numbers(parts: Elements) -> np.ndarray[Any, np.dtype[Any]]:
    kind, body = next(parts)
    return np.frombuffer(body, _NUMBERS[kind])

"""Tensors as a saved file describes them: checked first, made later."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from prosr.errors import CheckpointError

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MAX_DIMENSIONS = 8
MAX_EXTENT = 1 << 31


class Refused(CheckpointError):
    """Why a file is not read: a clause, to which `read` adds the file's name."""


class Damaged(Refused):
    """The file is cut short or garbled, or was never made by `torch.save`."""

    def __init__(self, reason: str = "its pickle makes no sense") -> None:
        super().__init__(reason)


def printable(text: str) -> str:
    """Return `text` fit for a one-line message: no control characters, at most 100."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:100])
    return shown + "…" if len(text) > 100 else shown


@dataclass(eq=False)
class Storage:
    """A flat run of numbers in the file; `raw` is filled in once it has been found."""

    key: str
    dtype: torch.dtype
    numel: int
    raw: memoryview | None = None


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that has been described and checked, but not yet made."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> torch.Tensor:
        """Return a contiguous copy of the numbers."""
        if self.storage.raw is None:
            raise Refused(f"storage {printable(self.storage.key)} is missing")
        count = math.prod(self.shape)
        if count == 0:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        start = self.offset * self.storage.dtype.itemsize
        raw = bytearray(self.storage.raw[start : start + count * self.storage.dtype.itemsize])
        flat = torch.frombuffer(raw, dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.stride).contiguous()


def window(view: list[object], numel: int) -> tuple[int, int]:
    """Return first element and length of the part of a storage that a tensor may use."""
    match view:
        case [] | [None]:
            return 0, numel
        case [(_, int(start), int(length))] if start >= 0 <= length <= numel - start:
            return start, length
    raise Damaged()


def describe(part: object, offset: object, shape: object, stride: object) -> StoredTensor:
    """Check a tensor's description: within its storage, and covering a part of it densely.

    Dense tensors cannot describe more numbers than the file has (a stride of 0 could).
    """
    match part, offset, shape, stride:
        case (Storage() as storage, int(start), int(length)), int(offset), tuple(shape), tuple(
            stride
        ):
            pass
        case _:
            raise Damaged()
    if len(shape) != len(stride) or len(shape) > MAX_DIMENSIONS:
        raise Damaged()
    if not all(isinstance(n, int) and 0 <= n < MAX_EXTENT for n in (*shape, *stride, offset)):
        raise Damaged()
    count = math.prod(shape)
    span = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)) if count else 0
    if offset + span > length:
        raise Refused("it describes a tensor that reaches beyond its storage")
    if span != count:
        raise Refused("it describes a tensor whose numbers are not stored densely")
    return StoredTensor(storage, start + offset, shape, stride)

"""Samples as files and callers hold them ↔ float32 in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SAMPLE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32), np.dtype(np.float64))


def to_unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Integers over their type's whole range become [0, 1]; floats keep their values."""
    if samples.dtype.kind == "u":
        return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)
    return samples.astype(np.float32)


def from_unit(values: NDArray[np.float32], dtype: DTypeLike) -> NDArray[Any]:
    """Clip to [0, 1] and give samples of one of `SAMPLE_TYPES`, rounding halves up.

    Values are taken as they are in [0, 1]: what `to_unit` made comes back exactly.
    """
    dtype = np.dtype(dtype)
    clipped = np.clip(values, 0, 1)
    if dtype.kind == "u":
        return (clipped * np.float32(np.iinfo(dtype).max) + np.float32(0.5)).astype(dtype)
    return clipped.astype(dtype)

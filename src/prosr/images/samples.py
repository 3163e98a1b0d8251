"""Convert samples between the types of files and arrays and float32 in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SAMPLE_TYPES = tuple(map(np.dtype, ("uint8", "uint16", "float32", "float64")))

LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of R, G and B in luminance (BT.601)."""


def to_unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Map the full range of an integer type to [0, 1]; keep the values of floats."""
    if samples.dtype.kind == "u":
        return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)
    return samples.astype(np.float32)


def from_unit(values: NDArray[np.float32], dtype: DTypeLike) -> NDArray[Any]:
    """Clip to [0, 1] and convert to one of `SAMPLE_TYPES`; halves are rounded up.

    `from_unit(to_unit(samples), samples.dtype)` returns `samples` exactly.
    """
    dtype = np.dtype(dtype)
    clipped = np.clip(values, 0, 1)
    if dtype.kind == "u":
        clipped *= np.float32(np.iinfo(dtype).max)
        clipped += np.float32(0.5)
    return clipped.astype(dtype)

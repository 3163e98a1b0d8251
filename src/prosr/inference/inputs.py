"""Arrays as pictures: validation and conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError, printable
from prosr.images.samples import SAMPLE_TYPES

_ROUNDING = 1e-6
"""How far floats may lie outside [0, 1], as computed ones do."""


def plain_array(array: NDArray[Any]) -> NDArray[Any]:
    """The same samples as a base-class array in native byte order.

    Raises `ConfigError`, with the problem and the remedy, for an array that is not a picture.
    """
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 2, 3, 4)):
        hint = "; move the channels to the end" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ConfigError(
            f"an array of shape {shape} is not a picture: expected [height, width] or "
            f"[height, width, 1 to 4 channels]{hint}"
        )
    if 0 in shape:
        raise ConfigError(f"an array of shape {shape} has no pixels")
    dtype = array.dtype.newbyteorder("=")
    if dtype not in SAMPLE_TYPES:
        raise ConfigError(
            f"an array of {printable(str(dtype)[:40])} is not a picture: use uint8, uint16, or "
            "float32 or float64 in [0, 1]"
        )
    if np.ma.is_masked(array):
        raise ConfigError("an array with masked samples is not a picture: give array.filled(0)")
    # Subclasses redefine indexing and shapes; np.matrix has two dimensions whatever is done.
    array = np.asarray(array, dtype)
    if dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not np.isfinite(low + high):
            raise ConfigError(f"an array of {dtype} has values that are not finite; replace them")
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise ConfigError(
                f"an array of {dtype} from {low:g} to {high:g}: convert it to [0, 1] first"
            )
    return array

"""EXIF orientation: turn the pixels of a file upright."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray


def orientation_of(image: pyvips.Image) -> int:
    """The EXIF orientation of an opened picture, 1 to 8; 1 (upright) if missing or unknown."""
    orientation: int = image.get("orientation") if image.get_typeof("orientation") else 1
    return orientation if 1 <= orientation <= 8 else 1


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The upright view of stored pixels, [H, W, C]; nothing is copied.

    Orientations 5 to 8 are transposed first. Then rows, columns or both are reversed.
    """
    if orientation >= 5:
        stored = np.swapaxes(stored, 0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return stored[::rows, ::columns]

"""EXIF orientation: between a picture as it is stored and as it is looked at."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[int, int, int, int]
"""top, bottom, left, right; bottom and right are the first that are outside."""


class Turn(NamedTuple):
    """How stored pixels become upright: transposed first, then mirrored."""

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of one when the other is given so: it works both ways."""
        return (width, height) if self.transposed else (height, width)

    def stored(self, upright: Rectangle, size: tuple[int, int]) -> Rectangle:
        """Where a rectangle of an upright picture of `size` is in the stored one."""
        (height, width), (top, bottom, left, right) = size, upright
        if self.upside_down:
            top, bottom = height - bottom, height - top
        if self.mirrored:
            left, right = width - right, width - left
        return (left, right, top, bottom) if self.transposed else (top, bottom, left, right)

    def upright(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Stored pixels, [H, W, C], as they are looked at; a view."""
        if self.transposed:
            stored = np.swapaxes(stored, 0, 1)
        return stored[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]


# fmt: off
TURNS = {
    1: Turn(),
    2: Turn(mirrored=True),
    3: Turn(upside_down=True, mirrored=True),
    4: Turn(upside_down=True),
    5: Turn(transposed=True),
    6: Turn(transposed=True, mirrored=True),
    7: Turn(transposed=True, upside_down=True, mirrored=True),
    8: Turn(transposed=True, upside_down=True),
}
# fmt: on
"""What each EXIF orientation asks for."""

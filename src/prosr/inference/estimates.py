"""Estimates of size, time and memory, from a trial on a piece of the picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from prosr.images.reading import Picture
from prosr.images.writing import Canvas

_SIDE = 192
"""Side in pixels of an estimate's trial: large enough for kernels to run as on whole tiles."""


class Estimate(NamedTuple):
    """Estimate for a picture: size in pixels, seconds, peak bytes of the process.

    `tiles` is the number of parts of the work, and `unit` their name ("frame" for a clip).
    """

    width: int
    height: int
    tiles: int
    seconds: float
    memory: int
    unit: str = "tile"


def measure(
    picture: Picture,
    canvas: Canvas,
    enlarge: Callable[[NDArray[Any]], NDArray[Any]],
    pixels: int,
) -> tuple[float, float]:
    """Seconds per pixel of the network's input, and per encoded pixel.

    Enlarges and encodes a central piece of `picture` with at most `pixels`, the size of a tile;
    nothing is written. The time of decoding is negligible.
    """
    piece = picture.middle(min(_SIDE, math.isqrt(pixels)))
    # The first call includes one-time work, such as choosing kernels.
    enlarge(piece)
    start = perf_counter()
    result = enlarge(piece)
    computing = (perf_counter() - start) / math.prod(piece.shape[:2])
    start = perf_counter()
    canvas.encode(result)
    encoding = (perf_counter() - start) / math.prod(result.shape[:2])
    return computing, encoding

"""What enlarging a picture will take, from a short measured trial."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from prosr.images import Canvas, Picture

_SIDE = 192
"""Pixels of the trial's side: enough for kernels to run as they do on whole tiles."""


class Estimate(NamedTuple):
    """What a picture will become: result in pixels, seconds, peak bytes of the process.

    `tiles` are parts of the work, which for a clip are frames, as `unit` says.
    """

    width: int
    height: int
    tiles: int
    seconds: float
    memory: int
    unit: str = "tile"


class Rates(NamedTuple):
    """Seconds for each pixel that is decoded, goes through the network, and is encoded."""

    decoding: float
    computing: float
    encoding: float


def measure(
    picture: Picture,
    canvas: Canvas,
    enlarge: Callable[[NDArray[Any]], NDArray[Any]],
    pixels: int,
) -> Rates:
    """Decode, enlarge and encode a piece from the middle of `picture`, nothing written.

    It has at most so many `pixels`, those of a tile.
    """
    start = perf_counter()
    piece, decoded = picture.middle(min(_SIDE, math.isqrt(pixels)))
    decoding = (perf_counter() - start) / decoded
    # What happens once, such as choosing kernels, is not for each pixel.
    enlarge(piece)
    start = perf_counter()
    result = enlarge(piece)
    computing = (perf_counter() - start) / math.prod(piece.shape[:2])
    start = perf_counter()
    canvas.encode(result)
    encoding = (perf_counter() - start) / math.prod(result.shape[:2])
    return Rates(decoding, computing, encoding)

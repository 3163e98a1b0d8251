"""Cuts a picture into overlapping tiles so that tiled results equal those of the whole.

A network's output pixel depends on input pixels at most a radius away. Each tile overlaps its kept
rectangle by that many pixels, except at the picture's borders. So each kept pixel is computed from
the same input as in the whole picture. At the picture's borders a tile ends where the picture ends,
so that the network pads there as it does for the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError, InferenceError

Block = NDArray[np.float32]
"""Pixels as [N, C, H, W]."""

Enlarge = Callable[[Block, int], Block]
"""x, [N, C, H, W], and a scale s → [N, C', sH, sW]."""


@dataclass(frozen=True, slots=True)
class Span:
    """Pixels start…stop−1 of an axis are kept; pixels first…last−1 are the input for them."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle to keep and the larger input rectangle that it is computed from."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Pixels that it is computed from."""
        rows, columns = self.rows, self.columns
        return (rows.last - rows.first) * (columns.last - columns.first)

    def __str__(self) -> str:
        rows, columns = self.rows, self.columns
        return f"rows {rows.start}–{rows.stop - 1}, columns {columns.start}–{columns.stop - 1}"


def plan(size: tuple[int, int], tile: tuple[int, int], halo: int) -> list[Tile]:
    """Tiles that cover a picture of `size` (height, width), row by row from the top.

    The input of a tile has at most `tile` pixels a side, halo included and rounded to an even
    number. All tiles have the same shape. Raises `ConfigError` if the halo would fill a tile.
    """
    rows, columns = (_spans(length, most, halo) for length, most in zip(size, tile, strict=True))
    return [Tile(row, column) for row in rows for column in columns]


@cache
def fit(size: tuple[int, int], pixels: int, halo: int) -> tuple[int, int]:
    """Height and width of tiles of at most `pixels` with the least total computation.

    Raises `ConfigError` if even the smallest useful tile is larger.
    """
    height, width = size
    best: tuple[int, int, int, int] | None = None
    for wanted in range(1, height + 1):
        down, rows = _windows(height, math.ceil((height - 2 * halo) / wanted) + 2 * halo, halo)
        columns = pixels // rows
        columns = width if columns >= width else columns - columns % 2
        if columns == width or columns > 2 * halo:
            across, each = _windows(width, columns, halo)
            tiles = down * across
            cost = tiles * rows * each, tiles, rows, columns
            best = cost if best is None else min(best, cost)
        if rows <= 2 * halo + 2:
            break
    if best is None:
        raise ConfigError(f"tiles of {pixels} pixels are too small for a halo of {halo}")
    return best[2:]


def enlarge_tile(function: Enlarge, x: Block, scale: int, tile: Tile, name: str) -> Block:
    """`function(x, scale)` for a tile's pixels, overlap included, cut to the part that is kept.

    The result is [N, C', s·rows, s·columns]. Raises `InferenceError`, naming the tile, if
    `function` fails, or returns a wrong size or values that are not finite.
    """
    try:
        y = function(x, scale)
    except InferenceError as error:
        raise InferenceError(f"{name}: {error}") from error
    # Any callable may be tiled and may raise anything. Every failure must end the picture: a result
    # with a missing or wrong tile would look valid.
    except Exception as error:
        summary = " ".join(f"{type(error).__name__}: {error}".split())
        raise InferenceError(f"{name} failed with {summary}") from error
    expected = (scale * x.shape[2], scale * x.shape[3])
    if y.shape[2:] != expected:
        raise InferenceError(f"{name} came out as {y.shape[2:]}, not {expected}")
    rows, columns = (
        slice(scale * (span.start - span.first), scale * (span.stop - span.first))
        for span in (tile.rows, tile.columns)
    )
    y = y[:, :, rows, columns]
    if not np.isfinite(y).all():
        raise InferenceError(f"{name} came out with values that are not finite")
    return y


def tiled(function: Enlarge, x: Block, scale: int, tile: tuple[int, int], halo: int) -> Block:
    """Compute `function(x, scale)` in tiles; x and the result are whole in memory."""
    height, width = x.shape[2:]
    whole: Block | None = None
    tiles = plan((height, width), tile, halo)
    for number, part in enumerate(tiles, 1):
        rows, columns = part.rows, part.columns
        window = x[:, :, rows.first : rows.last, columns.first : columns.last]
        y = enlarge_tile(function, window, scale, part, f"part {number} of {len(tiles)}")
        if whole is None:
            whole = np.empty((*y.shape[:2], scale * height, scale * width), np.float32)
        top, left = scale * rows.start, scale * columns.start
        whole[:, :, top : top + y.shape[2], left : left + y.shape[3]] = y
    assert whole is not None, "a plan has at least one tile"
    return whole


def _windows(length: int, most: int, halo: int) -> tuple[int, int]:
    """The number of windows that cover an axis, and their even length, about `most` or less."""
    if length <= most:
        return 1, length
    count = math.ceil((length - 2 * halo) / (most - 2 * halo))
    window = math.ceil((length - 2 * halo) / count) + 2 * halo
    window = min(window + window % 2, length)
    return math.ceil((length - 2 * halo) / (window - 2 * halo)), window


def _spans(length: int, most: int, halo: int) -> list[Span]:
    """Split an axis into evenly spaced windows of one even length, cut mid-overlap."""
    if most <= 2 * halo and most < length:
        raise ConfigError(f"tiles of {most} pixels have no room for a halo of {halo} on each side")
    count, window = _windows(length, most, halo)
    if count == 1:
        return [Span(0, length, 0, length)]
    firsts = [i * (length - window) // (count - 1) for i in range(count)]
    cuts = [(a + window + b) // 2 for a, b in pairwise(firsts)]
    bounds = zip(firsts, [0, *cuts], [*cuts, length], strict=True)
    return [Span(start, stop, first, first + window) for first, start, stop in bounds]

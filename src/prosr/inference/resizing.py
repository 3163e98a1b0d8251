"""Tiles of results of any size: what a network enlarges, the bicubic reduces, and where it goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError
from prosr.images.loading import refusal
from prosr.images.samples import LUMA, to_unit
from prosr.inference.alpha import FILL_RADIUS, fill_transparent
from prosr.inference.engine import Engine
from prosr.inference.ensemble import Ensemble
from prosr.inference.tiling import Block, Enlarge, Tile, enlarge_tile, fit, plan
from prosr.resample import resize_axis
from prosr.resample import upscale as phi
from prosr.sizes import Request, Route, requested, shown

Source = Callable[[], NDArray[Any]]
"""Returns all samples, [H, W, channels], from which each tile is cut."""

_ENOUGH, _HALOS = 256, 20
"""Side of the largest tile, in pixels and in receptive radii. Larger tiles overlap less but are
hardly faster: in 2 GB an earlier `prosr-xs` took 2 to 18 % longer in bfloat16 (AMX) and up to 4 %
less in float32; memory rose up to threefold."""

_SHARE, _HELD = 0.3, 100
"""Without a network, or with two passes, tiles take this share of the memory: the second pass needs
the rest. A pixel of the enlarged tile takes this number of bytes."""

_SEEN, _SOLID = 1 / 256, 1 - 1e-5
"""Between these, the alpha of a reduced pixel weights its colours."""


def tiles_of(route: Route, engine: Engine | Ensemble, name: str) -> list[Tile]:
    """The tiles of a picture that contribute to the result.

    Raises `ConfigError`, with the network's `name`, if memory is too small for the smallest ones.
    """
    halo, scale = route.margin, 1
    for each in route.passes:
        halo += math.ceil(engine.radius(each) / scale)
        scale *= each
    pixels = min(pixels_of(route, engine), max(_ENOUGH, _HALOS * halo) ** 2)
    try:
        tiles = plan(route.source, fit(route.source, pixels, halo), halo)
    except ConfigError as error:
        raise ConfigError(
            f"{engine.max_memory / 1e9:.2g} GB are too little memory for {name} at scale {scale}; "
            "allow twice that"
        ) from error
    return [tile for tile in tiles if all(part.start < part.stop for part in parts_of(tile, route))]


def pixels_of(route: Route, engine: Engine | Ensemble) -> int:
    """The maximum number of pixels of a tile."""
    if len(route.passes) == 1:
        return engine.pixels(route.scale)
    return int(_SHARE * (engine.max_memory - engine.reserved)) // (_HELD * route.scale**2)


class Part(NamedTuple):
    """One axis of a tile: pixels first…last−1 of the enlarged picture give start…stop−1 of the new.

    The axis of the enlarged picture has `length` pixels. `cut` new ones at its start are cropped.
    """

    length: int
    first: int
    last: int
    start: int
    stop: int
    cut: int


def parts_of(tile: Tile, route: Route) -> tuple[Part, Part]:
    """The rows and columns of the enlarged picture and of the result that belong to a tile."""
    rows, columns = tile.rows, tile.columns
    down, across = route.part(0, rows.start, rows.stop), route.part(1, columns.start, columns.stop)
    return Part(*down), Part(*across)


def widened(tile: Tile, route: Route) -> Tile:
    """The tile that also keeps what the bicubic needs for its part of the result."""
    rows, columns = (
        replace(span, start=part.first // route.scale, stop=part.last // route.scale)
        for part, span in zip(parts_of(tile, route), (tile.rows, tile.columns), strict=True)
    )
    return Tile(rows, columns)


def resize(y: Block, parts: Sequence[Part], cover: tuple[int, int]) -> Block:
    """The bicubic for both axes of y, [N, C, H, W]; colours count by their alpha.

    `cover` is the new height and width of the whole picture.
    """

    def both(y: Block) -> Block:
        for axis, part, out in zip((2, 3), parts, cover, strict=True):
            taken = part.length, part.first, part.start, part.stop
            y = resize_axis(y, axis, out, part=taken)
        return y

    colours = 1 if y.shape[1] < 3 else 3
    resized = both(y)
    if y.shape[1] > colours:
        colour, alpha = resized[:, :colours], resized[:, colours:]
        weighted = both(y[:, :colours] * y[:, colours:]) / np.maximum(alpha, np.float32(_SEEN))
        colour[:] = np.where((alpha > _SEEN) & (alpha < _SOLID), weighted, colour)
    return resized


def remark_on(route: Route) -> str:
    """What a caller may not expect of the route, or an empty string."""
    if len(route.passes) > 1:
        passes = " and then ".join(map(str, route.passes))
        return f"enlarged by {passes}; networks know no more than 8 times, so expect soft details"
    if route.size == route.source:
        return f"not enlarged: it has {shown(route.source)} pixels already"
    return f"reduced from {shown(route.source)} pixels" if route.ratio <= 1 else ""


def read_tile(source: Source, tile: Tile) -> Block:
    """A tile with its overlap, [1, C, H, W] in [0, 1].

    Colour under transparent pixels is filled with the help of a margin, which is then cut off. So
    an opaque alpha channel does not change the tile that the network gets.
    """
    rows, columns, samples = tile.rows, tile.columns, source()
    channels = samples.shape[2]
    colours = 1 if channels < 3 else 3
    margin = FILL_RADIUS if channels > colours else 0
    top, left = max(rows.first - margin, 0), max(columns.first - margin, 0)
    x = to_unit(samples[top : rows.last + margin, left : columns.last + margin])
    if margin:
        colour, alpha = x[..., :colours], x[..., colours:]
        x = np.concatenate((fill_transparent(colour, alpha), alpha), axis=2)
    x = x[rows.first - top : rows.last - top, columns.first - left : columns.last - left]
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def compute(network: Enlarge, x: Block, route: Route, tile: Tile, name: str) -> Block:
    """Enlarge a tile by all passes; cut the result to what its part of the result is made from.

    `name` is the tile's in error messages. Raises `InferenceError`.
    """
    colours = 1 if x.shape[1] < 3 else 3

    def enlarge(x: Block, scale: int) -> Block:
        for each in route.passes:
            colour = x[:, :colours]
            y = network(np.repeat(colour, 3, 1) if colours == 1 else colour, each)
            if colours == 1:
                # The network's result is RGB, also for a gray picture.
                y = np.einsum("nchw,c->nhw", y, LUMA.astype(np.float32))[:, None]
            if x.shape[1] > colours:
                y = np.concatenate((y, phi(x[:, colours:], each)), axis=1)
            x = np.clip(y, 0, 1) if route.resamples or each != scale else y
        return x

    return enlarge_tile(enlarge, x, route.scale, widened(tile, route), name)


def fitted(
    path: Path, request: Request, source: tuple[int, int], scales: Sequence[int], even: bool
) -> tuple[Request, tuple[int, int], str]:
    """The request for a clip's frames, their new height and width, `even` if need be, and a remark.

    Raises `ImageError`.
    """
    if request.settings:
        names = " and ".join(name for name, _ in request.settings)
        raise refusal(path, f"a clip has no {names}; leave that out")
    try:
        route = request.route(source, scales, direct=False)
    except ConfigError as error:
        raise refusal(path, str(error)) from error
    high, wide = route.size[0] // 2 * 2, route.size[1] // 2 * 2
    if not even or (high, wide) == route.size:
        return request, route.size, remark_on(route)
    remark = f"cut from {shown(route.size)} to {wide}×{high} pixels: H.264 takes even sizes"
    return requested(size=(wide, high)), (high, wide), remark

"""The `Upscaler`, through which users, the evaluator and the command line enlarge pictures."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError, printable
from prosr.images.provenance import mark
from prosr.images.samples import from_unit
from prosr.inference.engine import Engine
from prosr.inference.ensemble import Ensemble
from prosr.inference.estimates import Estimate, measure
from prosr.inference.inputs import plain_array
from prosr.inference.memory import release_freed_memory
from prosr.inference.oom import RetryingEngine
from prosr.inference.pictures import copy, prepare, target_of
from prosr.inference.pil import is_pil, upscale_pil
from prosr.inference.resizing import (
    Source,
    compute,
    parts_of,
    pixels_of,
    read_tile,
    remark_on,
    resize,
    tiles_of,
)
from prosr.inference.tiling import Block, Tile
from prosr.sizes import Request, Route, requested

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Memory = TypeVar("Memory", "PilImage", NDArray[Any])
"""A picture in memory."""

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and of all tiles."""

Sink = Callable[[int, int, NDArray[np.float32]], None]
"""Takes a tile's top row, left column and values in [0, 1], [rows, columns, channels]."""


@dataclass
class Work:
    """The work of an upscaler so far: pixels of results, and the seconds for them."""

    engine: Engine | Ensemble
    pixels: int = 0
    seconds: float = 0.0

    @property
    def computed_by(self) -> str:
        """The engine and the precision of its last result."""
        return f"{self.engine.name} {self.engine.precision}"

    def __str__(self) -> str:
        speed = self.pixels / 1e6 / self.seconds if self.seconds else 0.0
        return f"{self.computed_by}, {speed:.2f} megapixels/s"


class Upscaler:
    """An engine that enlarges whole pictures: files, PIL images or arrays.

    `name` and `sha256` identify the network in results and benchmarks. With `ensemble`
    results are means over flips and quarter turns, and the name gets a plus sign.
    """

    def __init__(self, engine: Engine, name: str, sha256: str, ensemble: bool = False) -> None:
        self.name = f"{name}+" if ensemble else name
        self.engine, self.sha256, self.max_memory = engine, sha256, engine.max_memory
        self._limits, self.scales = (engine.max_memory, engine.reserved), engine.scales
        self._engine: Engine | Ensemble = Ensemble(engine) if ensemble else engine
        self.work, self._compute = Work(self._engine), RetryingEngine(self._engine)
        self._rates: dict[tuple[Any, ...], tuple[float, float]] = {}

    @overload
    def upscale(
        self,
        image: str | os.PathLike[str],
        scale: Request | float | None = None,
        *,
        size: Request | tuple[int, int] | None = None,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Path: ...
    @overload
    def upscale(
        self,
        image: Memory,
        scale: Request | float | None = None,
        *,
        size: Request | tuple[int, int] | None = None,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Memory: ...
    def upscale(
        self,
        image: Any,
        scale: Request | float | None = None,
        *,
        size: Request | tuple[int, int] | None = None,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Any:
        """Enlarge `image` and return the same kind of object.

        `scale` is a factor from 1 to 16, by default 4. `size` is (width, height), which the result
        fills: it is cropped in the middle if its aspect differs. Either may be a `Request`.

        - A path: writes a file at `output`, in it if it is a folder, or beside the picture as
          "photo_x4.jpg", and returns its path. The output's suffix sets the format. Gray, alpha,
          depth, ICC profile, EXIF and XMP are kept as far as it can hold them. An existing file is
          replaced only with `overwrite`, the input never. `note` gets a line on each loss or doubt.
        - A PIL image: see `prosr.inference.pil.upscale_pil`.
        - An array, [H, W] or [H, W, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha) of
          uint8, uint16, or float32 or float64 in [0, 1]: the same rank and type.

        Raises `ConfigError` for an invalid request, `ImageError` for a file that
        cannot be read or written, and `InferenceError` if the network fails.
        """
        request, (one, _) = requested(scale, size), self.suited(image)
        if isinstance(image, str | os.PathLike):
            path, target = Path(image), target_of(Path(image), request, output)
            picture, canvas, route = prepare(
                path, request, target, overwrite, one.route, *one._limits, one.mark(request)
            )
            if canvas is None:
                copy(path, target, overwrite)
            else:
                with canvas, picture.decoded(target.parent) as read:
                    release_freed_memory()
                    one._enlarge(read, canvas.put, route, progress, canvas.channels)
                    one._engine.release()
                    canvas.save()
            for remark in picture.remarks:
                note(f"{printable(str(target))}: {remark}")
            return target
        if output is not None or overwrite:
            raise ConfigError("output and overwrite are for files; save the returned picture")
        if is_pil(image):
            if image.getexif().get(0x0112, 1) >= 5:  # the orientation turns by 90 degrees
                request = request.turned()
            more = partial(one._upscale_array, request=request, progress=progress, note=note)
            return upscale_pil(image, more, note)
        if isinstance(image, np.ndarray):
            return one._upscale_array(image, request, progress, note)
        raise ConfigError(
            f"cannot enlarge a {type(image).__name__}; give a path, a PIL image or a numpy array"
        )

    def suited(self, image: object) -> tuple[Upscaler, str]:
        """The upscaler for a picture or clip, and the reason if it was chosen; here itself."""
        return self, ""

    def mark(self, scale: Request | float) -> str:
        """The mark that identifies this upscaler's results for a request."""
        return mark(self.name, requested(scale).mark, self.sha256)

    def route(self, source: tuple[int, int], scale: Request | float) -> Route:
        """How a picture of (height, width) `source` gets its size. Raises `ConfigError`."""
        return requested(scale).route(source, self.scales, direct=self.name == "bicubic")

    def estimate(
        self,
        path: str | os.PathLike[str],
        scale: Request | float = 4,
        *,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Estimate:
        """Estimate the cost of `upscale` for a file from a short trial run; nothing is written.

        Raises what `upscale` raises before it begins.
        """
        target = target_of(Path(path), scale, output)
        picture, canvas, route = prepare(
            Path(path), requested(scale), target, overwrite, self.route, *self._limits
        )
        if canvas is None:
            return Estimate(picture.width, picture.height, 1, 0.0, self._engine.reserved)
        tiles = tiles_of(route, self._engine, self.name)
        kind = picture.channels, canvas.format.name, canvas.dtype, route.ratio
        if kind not in self._rates:
            enlarge = partial(self._upscale_array, request=Request("scale", (route.ratio,), ""))
            self._rates[kind] = measure(picture, canvas, enlarge, pixels_of(route, self._engine))
            release_freed_memory()
        computing, saving = self._rates[kind]
        areas = [tile.area for tile in tiles]
        seconds = computing * sum(areas) + saving * canvas.height * canvas.width
        encoding = canvas.format.memory * canvas.height * canvas.width
        memory = self.memory(route.source, scale, max(picture.decoding, encoding))
        return Estimate(canvas.width, canvas.height, len(tiles), seconds, memory)

    def memory(self, source: tuple[int, int], scale: Request | float, other: int = 0) -> int:
        """Peak bytes of the process while an array of (height, width) `source` is enlarged.

        The array and its result are not included. Before or after, `other` bytes are needed.
        """
        route, reserved = self.route(source, scale), self._engine.reserved
        largest = max(tile.area for tile in tiles_of(route, self._engine, self.name))
        most = pixels_of(route, self._engine)
        return reserved + max(largest * (self.max_memory - reserved) // most, other)

    def _upscale_array(
        self,
        array: NDArray[Any],
        request: Request,
        progress: Progress | None = None,
        note: Callable[[str], object] = lambda text: None,
    ) -> NDArray[Any]:
        array = plain_array(array)
        samples = array if array.ndim == 3 else array[..., None]
        height, width, channels = samples.shape
        route = self.route((height, width), request)
        if len(route.passes) > 1:
            note(remark_on(route))
        result = np.empty((*route.size, channels), array.dtype)

        def put(top: int, left: int, block: NDArray[np.float32]) -> None:
            rows, columns, _ = block.shape
            result[top : top + rows, left : left + columns] = from_unit(block, result.dtype)

        self._enlarge(lambda: samples, put, route, progress, channels)
        return result if array.ndim == 3 else result[..., 0]

    def _enlarge(
        self, source: Source, sink: Sink, route: Route, progress: Progress | None, channels: int
    ) -> None:
        """Enlarge the first `channels` of the source tile by tile into the sink.

        Another thread reads the next tile, and reduces and writes the previous one, while the
        engine runs.
        """
        start = perf_counter()
        tiles = tiles_of(route, self._engine, self.name)
        if progress is not None:
            progress(0, len(tiles))

        def write(tile: Tile, block: Block) -> None:
            rows, columns = parts_of(tile, route)
            if route.resamples:
                block = resize(block, (rows, columns), route.cover)
            sink(rows.start - rows.cut, columns.start - columns.cut, block[0].transpose(1, 2, 0))

        with ThreadPoolExecutor(1, "prosr-tiles") as other:
            following = other.submit(read_tile, source, tiles[0])
            writing = other.submit(lambda: None)
            for number, tile in enumerate(tiles):
                x = following.result()
                if number + 1 < len(tiles):
                    following = other.submit(read_tile, source, tiles[number + 1])
                name = f"tile {number + 1} of {len(tiles)} ({tile})"
                block = compute(self._compute, x[:, :channels], route, tile, name)
                writing.result()
                writing = other.submit(write, tile, block)
                if progress is not None:
                    progress(number + 1, len(tiles))
            writing.result()
        self.work.pixels += math.prod(route.size)
        self.work.seconds += perf_counter() - start

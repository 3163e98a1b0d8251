"""The `Upscaler`, through which users, the evaluator and the command line enlarge pictures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError, printable
from prosr.images.provenance import mark
from prosr.images.reading import Picture
from prosr.images.samples import from_unit, to_unit
from prosr.images.writing import Canvas
from prosr.inference.alpha import FILL_RADIUS, fill_transparent
from prosr.inference.engine import Engine
from prosr.inference.ensemble import Ensemble
from prosr.inference.inputs import plain_array
from prosr.inference.memory import release_freed_memory
from prosr.inference.oom import RetryingEngine
from prosr.inference.pictures import Estimate, measure, prepare, target_of
from prosr.inference.pil import is_pil, upscale_pil
from prosr.inference.tiling import Block, Tile, enlarge_tile, fit, plan
from prosr.resample import upscale as phi
from prosr.scales import choose_scales

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and of all tiles."""

Source = Callable[[], NDArray[Any]]
"""Returns all samples, [H, W, channels], from which each tile is cut."""

Sink = Callable[[int, int, NDArray[np.float32]], None]
"""Takes a tile's top row, left column and values in [0, 1], [rows, columns, channels]."""

_ENOUGH, _HALOS = 256, 20
"""Side of the largest tile, in pixels and in receptive radii. Larger tiles overlap less but are
hardly faster: in 2 GB `prosr-xs` took 2 to 18 % longer in bfloat16 (AMX) and up to 4 % less in
float32; memory rose up to threefold."""

_LUMA = np.array((0.299, 0.587, 0.114), np.float32)
"""BT.601 weights that convert the network's RGB result for a gray picture back to gray."""


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
        self.sha256, self.max_memory = sha256, engine.max_memory
        self.scales = engine.scales
        self._engine: Engine | Ensemble = Ensemble(engine) if ensemble else engine
        self.work = Work(self._engine)
        self._compute = RetryingEngine(self._engine)
        self._rates: dict[tuple[Any, ...], tuple[float, float]] = {}

    @overload
    def upscale(
        self,
        image: str | os.PathLike[str],
        scale: int = 4,
        *,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Path: ...
    @overload
    def upscale(
        self, image: PilImage, scale: int = 4, *, progress: Progress | None = None
    ) -> PilImage: ...
    @overload
    def upscale(
        self, image: NDArray[Any], scale: int = 4, *, progress: Progress | None = None
    ) -> NDArray[Any]: ...
    def upscale(
        self,
        image: Any,
        scale: int = 4,
        *,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Any:
        """Enlarge `image` by 2, 4 or 8 and return the same kind of object.

        - A path: writes a file at `output`, in it if it is a folder, or beside the picture
          ("photo_x4.jpg"), and returns its path. The output's suffix sets the format. Gray,
          alpha, depth, ICC profile, EXIF and XMP are kept as far as that format can hold
          them. An existing file is replaced only with `overwrite`, the input never. `note` gets
          a line for all that is lost or doubtful.
        - A PIL image: see `prosr.inference.pil.upscale_pil`.
        - An array, [H, W] or [H, W, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha) of
          uint8, uint16, or float32 or float64 in [0, 1]: the same rank and type.

        Raises `ConfigError` for an invalid request, `ImageError` for a file that
        cannot be read or written, and `InferenceError` if the network fails.
        """
        (scale,) = choose_scales(self.name, self.scales, [scale])
        if isinstance(image, str | os.PathLike):
            path, target = Path(image), target_of(Path(image), scale, output)
            picture, canvas = self._prepare(path, scale, target, overwrite, self.mark(scale))
            with canvas, picture.decoded(target.parent) as read:
                release_freed_memory()
                self._enlarge(read, canvas.put, scale, progress, canvas.channels)
                self._engine.release()
                canvas.save()
            for remark in picture.remarks:
                note(f"{printable(str(target))}: {remark}")
            return target
        if output is not None or overwrite:
            raise ConfigError("output and overwrite are for files; save the returned picture")
        if is_pil(image):
            return upscale_pil(image, lambda array: self._upscale_array(array, scale, progress))
        if isinstance(image, np.ndarray):
            return self._upscale_array(image, scale, progress)
        raise ConfigError(
            f"cannot enlarge a {type(image).__name__}; give a path, a PIL image or a numpy array"
        )

    def mark(self, scale: int) -> str:
        """The mark that identifies this upscaler's results at `scale`."""
        return mark(self.name, scale, self.sha256)

    def estimate(
        self,
        path: str | os.PathLike[str],
        scale: int = 4,
        *,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Estimate:
        """Estimate the cost of `upscale` for a file from a short trial run; nothing is written.

        Raises what `upscale` raises before it begins.
        """
        (scale,) = choose_scales(self.name, self.scales, [scale])
        target = target_of(Path(path), scale, output)
        picture, canvas = self._prepare(Path(path), scale, target, overwrite)
        tiles = self._plan((picture.height, picture.width), scale)
        kind = picture.channels, canvas.format.name, canvas.dtype, scale
        if kind not in self._rates:
            enlarge = partial(self._upscale_array, scale=scale, progress=None)
            self._rates[kind] = measure(picture, canvas, enlarge, self._engine.pixels(scale))
            release_freed_memory()
        computing, saving = self._rates[kind]
        areas = [tile.area for tile in tiles]
        seconds = computing * sum(areas) + saving * canvas.height * canvas.width
        encoding = canvas.format.memory * canvas.height * canvas.width
        memory = self._memory(max(areas), scale, max(picture.decoding, encoding))
        return Estimate(canvas.width, canvas.height, len(tiles), seconds, memory)

    def memory(self, size: tuple[int, int], scale: int) -> int:
        """Peak bytes of the process while an array of that size is enlarged.

        The array and its result are not included.
        """
        return self._memory(max(tile.area for tile in self._plan(size, scale)), scale)

    def _prepare(
        self, path: Path, scale: int, target: Path, overwrite: bool, mark: str = ""
    ) -> tuple[Picture, Canvas]:
        limits = self.max_memory, self._engine.reserved
        return prepare(path, scale, target, overwrite, *limits, mark)

    def _memory(self, area: int, scale: int, other: int = 0) -> int:
        reserved = self._engine.reserved
        tiles = area * (self.max_memory - reserved) // self._engine.pixels(scale)
        return reserved + max(tiles, other)

    def _upscale_array(
        self, array: NDArray[Any], scale: int, progress: Progress | None
    ) -> NDArray[Any]:
        array = plain_array(array)
        samples = array if array.ndim == 3 else array[..., None]
        height, width, channels = samples.shape
        result = np.empty((scale * height, scale * width, channels), array.dtype)

        def put(top: int, left: int, block: NDArray[np.float32]) -> None:
            rows, columns, _ = block.shape
            result[top : top + rows, left : left + columns] = from_unit(block, result.dtype)

        self._enlarge(lambda: samples, put, scale, progress, channels)
        return result if array.ndim == 3 else result[..., 0]

    def _enlarge(
        self, source: Source, sink: Sink, scale: int, progress: Progress | None, channels: int
    ) -> None:
        """Enlarge the first `channels` of the source tile by tile into the sink.

        Another thread reads the next tile and writes the previous one while the engine runs.
        """
        start = perf_counter()
        height, width, _ = source().shape
        tiles = self._plan((height, width), scale)
        if progress is not None:
            progress(0, len(tiles))
        with ThreadPoolExecutor(1, "prosr-tiles") as other:
            following = other.submit(_read_tile, source, tiles[0])
            writing = other.submit(lambda: None)
            for number, tile in enumerate(tiles):
                x = following.result()
                if number + 1 < len(tiles):
                    following = other.submit(_read_tile, source, tiles[number + 1])
                block = self._enlarge_tile(x, scale, tiles, number, channels)
                writing.result()
                top, left = scale * tile.rows.start, scale * tile.columns.start
                writing = other.submit(sink, top, left, block[0].transpose(1, 2, 0))
                if progress is not None:
                    progress(number + 1, len(tiles))
            writing.result()
        self.work.pixels += scale**2 * height * width
        self.work.seconds += perf_counter() - start

    def _enlarge_tile(
        self, x: Block, scale: int, tiles: Sequence[Tile], number: int, channels: int
    ) -> Block:
        colours = 1 if x.shape[1] < 3 else 3

        def enlarge(x: Block, scale: int) -> Block:
            colour = x[:, :colours]
            y = self._compute(np.repeat(colour, 3, 1) if colours == 1 else colour, scale)
            if colours == 1:
                y = np.einsum("nchw,c->nhw", y, _LUMA)[:, None]
            if channels > colours:
                y = np.concatenate((y, phi(x[:, colours:], scale)), axis=1)
            return y

        name = f"tile {number + 1} of {len(tiles)} ({tiles[number]})"
        return enlarge_tile(enlarge, x, scale, tiles[number], name)

    def _plan(self, size: tuple[int, int], scale: int) -> list[Tile]:
        halo = self._engine.radius(scale)
        pixels = min(self._engine.pixels(scale), max(_ENOUGH, _HALOS * halo) ** 2)
        try:
            return plan(size, fit(size, pixels, halo), halo)
        except ConfigError as error:
            raise ConfigError(
                f"{self.max_memory / 1e9:.2g} GB are too little memory for {self.name} at scale "
                f"{scale}; allow twice that"
            ) from error


def _read_tile(source: Source, tile: Tile) -> Block:
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

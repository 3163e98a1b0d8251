"""The one door through which users, the evaluator and the command line enlarge pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prosr import images
from prosr.checkpoints.weights import at_strength
from prosr.errors import ConfigError, ImageError
from prosr.inference.alpha import FILL_RADIUS, fill_transparent
from prosr.inference.engines import Engine, make_engine
from prosr.inference.ensemble import Ensemble
from prosr.inference.estimates import Estimate, Rates, measure
from prosr.inference.inputs import ArrayCanvas, ArrayPicture, Sink, Source, is_pil, upscale_pil
from prosr.inference.memory import RESERVED, release_freed_memory, resident_memory
from prosr.inference.oom import Halving
from prosr.inference.tiling import Tile, fit, plan, run
from prosr.layouts import check_scale
from prosr.resample.tensors import upscale as phi

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and of all tiles."""

MAX_MEMORY = 2_000_000_000

SCORING_MEMORY = 8_000_000_000
"""For validation, scores and timings: the halos of EDSR and SRDenseNet need more than 2 GB."""

_ENOUGH, _HALOS = 256, 20
"""Side of a square of the most pixels that a tile has, in pixels and in halos. Larger ones compute
less twice, but are hardly sooner done: in 2 GB `prosr-xs` took 2 to 18 % longer in bfloat16 (AMX),
the first picture of a process 5 to 59 %, in float32 up to 4 % less; memory rose up to threefold."""

_LUMA = (0.299, 0.587, 0.114)
"""BT.601: a gray picture goes through the network as RGB and comes back by these."""

_TAKEN = {"torch": 0.55, "openvino": 0.75, "onnx": 0.75}
"""Of the memory that tiles may take, what they do take: 0.5 to 0.75 and 0.5 to 0.8 of it, in
PyTorch and in OpenVINO, for `prosr-xs` on pictures of 0.03 to 1.5 megapixels."""


def load(
    name_or_path: str | Path,
    *,
    max_memory: int = MAX_MEMORY,
    engine: str = "auto",
    ensemble: bool = False,
    strength: float = 1.0,
) -> Upscaler:
    """An upscaler with a bundled model ("prosr-xs", "bicubic") or a .safetensors file.

    `max_memory` is in bytes, of the whole process. `engine` is one of
    `prosr.inference.engines.ENGINES`. With `ensemble` results are means over flips and
    quarter turns, and the name gets a plus sign. With `strength` below 1 a network that
    invents texture does so less, down to 0; see `prosr.checkpoints.weights.at_strength`. Raises
    `CheckpointError` or `ConfigError` with what is wrong.
    """
    weights = at_strength(name_or_path, strength)
    name = weights.name + "+" * ensemble
    return Upscaler(weights.net, name, weights.sha256, max_memory, engine, ensemble)


@dataclass
class Work:
    """What an upscaler has done so far: pixels of results, and the seconds for them."""

    engine: Engine
    pixels: int = 0
    seconds: float = 0.0

    @property
    def computed_by(self) -> str:
        """The engine and the precision of what it ran last."""
        return f"{self.engine.name} {self.engine.precision}"

    def __str__(self) -> str:
        speed = self.pixels / 1e6 / self.seconds if self.seconds else 0.0
        return f"{self.computed_by}, {speed:.2f} megapixels/s"


class Upscaler:
    """A network that enlarges whole pictures: files, PIL images or arrays.

    `net(x, scale)`, `net.scales` and `net.receptive_radius(scale)` are as in `prosr.nets`;
    `name` and `sha256` say in results and benchmarks which network it was.
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        sha256: str,
        max_memory: int = MAX_MEMORY,
        engine: str | Engine = "torch",
        ensemble: bool = False,
    ) -> None:
        self.name, self.sha256, self.max_memory = name, sha256, max_memory
        self.scales = cast(tuple[int, ...], net.scales)
        self._engine: Engine = (
            make_engine(net, max_memory, engine) if isinstance(engine, str) else engine
        )
        if ensemble:
            self._engine = Ensemble(self._engine)
        self.work = Work(self._engine)
        self._compute = Halving(self._engine)
        self._rates: dict[tuple[Any, ...], Rates] = {}

    @overload
    def upscale(
        self,
        image: str | os.PathLike[str],
        scale: int = 4,
        *,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
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
    ) -> Any:
        """Enlarge `image` by 2, 4 or 8 and give the same kind of thing back.

        - A path: a file is written, at `output`, in it if it is a folder, or beside the
          picture ("photo_x4.jpg"), and its path returned. The format is that of the output's
          suffix. Gray, alpha, depth, ICC profile, EXIF and XMP are kept as far as that format
          can hold them. A file that is there already is replaced only with `overwrite`; the
          input never.
        - A PIL image: see `prosr.inference.inputs.upscale_pil`.
        - An array, [H, W] or [H, W, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha) of
          uint8, uint16, or float32 or float64 in [0, 1]: the same rank and type.

        Raises `ConfigError` for a request that makes no sense, `ImageError` for a file that
        cannot be read or written, and `InferenceError` if the network fails.
        """
        scale = check_scale(scale)
        if isinstance(image, str | os.PathLike):
            target = _target(Path(image), scale, output)
            self._upscale_file(Path(image), scale, target, overwrite, progress)
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
        """What this upscaler's results at `scale` carry to be known by."""
        return images.mark(self.name, scale, self.sha256)

    def estimate(
        self,
        path: str | os.PathLike[str],
        scale: int = 4,
        *,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Estimate:
        """What `upscale` would take for a file, by a short trial; nothing is written.

        Raises what `upscale` raises before it begins.
        """
        scale = check_scale(scale)
        target = _target(Path(path), scale, output)
        picture, canvas = self._prepare(Path(path), scale, target, overwrite)
        size = picture.height, picture.width
        tiles = self._plan(size, scale)
        kind = picture.format, picture.channels, canvas.format.name, canvas.dtype, scale
        if kind not in self._rates:

            def enlarge(samples: NDArray[Any]) -> NDArray[Any]:
                return self._upscale_array(samples, scale, None)

            self._rates[kind] = measure(picture, canvas, enlarge, self._engine.pixels(scale))
            release_freed_memory()
        rates, areas = self._rates[kind], [tile.area for tile in tiles]
        seconds = rates.computing * sum(areas)
        seconds += (rates.decoding + scale**2 * rates.encoding) * math.prod(size)
        encoding = canvas.format.memory * canvas.height * canvas.width
        memory = self._memory(max(areas), scale, max(picture.decoding, encoding))
        return Estimate(canvas.width, canvas.height, len(tiles), seconds, memory)

    def memory(self, size: tuple[int, int], scale: int) -> int:
        """Bytes that the process will have at most while an array of that size is enlarged.

        The array and its result are not among them. Says most after a trial.
        """
        return self._memory(max(tile.area for tile in self._plan(size, scale)), scale)

    def _memory(self, area: int, scale: int, other: int = 0) -> int:
        if isinstance(self._engine, Ensemble):
            area = self._engine.at_once(area, scale)
        bound = area * (self.max_memory - RESERVED) // self._engine.pixels(scale)
        # What is reserved is for the worst case; after the trial it is known what it came to.
        held = min(RESERVED, resident_memory() or RESERVED)
        return held + max(int(_TAKEN.get(self._engine.name, 1) * bound), other)

    def _upscale_file(
        self, path: Path, scale: int, target: Path, overwrite: bool, progress: Progress | None
    ) -> None:
        picture, canvas = self._prepare(path, scale, target, overwrite)
        canvas.made_by = str(images.Making(self.mark(scale), images.origin_of(path)))
        with canvas, picture.decoded(target.parent) as samples:
            release_freed_memory()
            self._enlarge(samples, canvas, scale, progress, canvas.channels)
            release_freed_memory()
            canvas.save()

    def _prepare(
        self, path: Path, scale: int, target: Path, overwrite: bool
    ) -> tuple[images.Picture, images.Canvas]:
        """Refuse what can be refused before any work."""
        picture = images.open_picture(path)
        file_format = images.find_format(target.suffix)
        _check_target(path, target, overwrite)
        size = scale * picture.height, scale * picture.width
        self._check_memory(picture, file_format, size, target)
        channels = picture.channels
        if not file_format.alpha and channels in (2, 4) and picture.is_opaque():
            channels -= 1
        dtype = file_format.sample_type(picture.dtype)
        canvas = images.Canvas(
            target, file_format, size, channels, dtype, picture.metadata, bits=picture.bits
        )
        return picture, canvas

    def _check_memory(
        self,
        picture: images.Picture,
        file_format: images.Format,
        size: tuple[int, int],
        target: Path,
    ) -> None:
        """Decoders and encoders that hold a picture as a whole must be able to."""
        encoding = file_format.memory * size[0] * size[1]
        for path, verb, name, need, instead in (
            (picture.path, "decoded", picture.format, picture.decoding, "make it a PNG"),
            (target, "encoded", file_format.name, encoding, "use PNG or TIFF"),
        ):
            if RESERVED + need > self.max_memory:
                raise ImageError(
                    f"{images.shown(path)}: this {name} is {verb} as a whole, for which "
                    f"{(RESERVED + need) / 1e9:.1f} GB are needed; allow more memory, or {instead}"
                )

    def _upscale_array(
        self, array: NDArray[Any], scale: int, progress: Progress | None
    ) -> NDArray[Any]:
        picture, canvas = ArrayPicture(array), ArrayCanvas(array, scale)
        self._enlarge(picture, canvas, scale, progress, picture.channels)
        return canvas.array

    def _enlarge(
        self, source: Source, sink: Sink, scale: int, progress: Progress | None, channels: int
    ) -> None:
        """Tile by tile from source to sink, the first `channels` of what the source has."""
        start = perf_counter()
        colours = 1 if source.channels < 3 else 3
        tiles = self._plan((source.height, source.width), scale)

        def enlarge(x: Tensor, scale: int) -> Tensor:
            y = self._compute(x[:, :colours].expand(-1, 3, -1, -1), scale)
            if colours == 1:
                y = torch.einsum("nchw,c->nhw", y, torch.tensor(_LUMA))[:, None]
            if channels > colours:
                y = torch.cat((y, phi(x[:, colours:], scale)), dim=1)
            return y

        def read(tile: Tile) -> Tensor:
            return _read_tile(source, tile, colours)

        if progress is not None:
            progress(0, len(tiles))
        for done, (tile, y) in enumerate(run(enlarge, read, scale, tiles), 1):
            block = y[0].permute(1, 2, 0).numpy()
            sink.put(scale * tile.rows.start, scale * tile.columns.start, block)
            if progress is not None:
                progress(done, len(tiles))
        self.work.pixels += scale**2 * source.height * source.width
        self.work.seconds += perf_counter() - start

    def _plan(self, size: tuple[int, int], scale: int) -> list[Tile]:
        halo = self._engine.radius(scale)
        pixels = min(self._engine.pixels(scale), max(_ENOUGH, _HALOS * halo) ** 2)
        try:
            return plan(size, fit(size, pixels, halo), halo)
        except ConfigError as error:
            raise ConfigError(
                f"{self.max_memory / 1e9:.2g} GB are too little memory for {self.name} at scale "
                f"{scale}; allow twice as much"
            ) from error


def _target(path: Path, scale: int, output: str | os.PathLike[str] | None) -> Path:
    beside = result_path(path, scale)
    place = beside if output is None else Path(output)
    return place / beside.name if output is not None and place.is_dir() else place


def _check_target(path: Path, target: Path, overwrite: bool) -> None:
    if target.exists():
        if target.samefile(path):
            raise ImageError(f"{images.shown(target)}: is the input itself; give another output")
        if not overwrite:
            raise ImageError(
                f"{images.shown(target)}: exists already; give another output or overwrite it"
            )


def result_path(path: Path, scale: int, file_format: images.Format | None = None) -> Path:
    """Where the enlargement of a file goes unless asked: "photo_x4.jpg" beside it."""
    return path.with_name(f"{path.stem}_x{scale}{result_suffix(path, file_format)}")


def result_suffix(path: Path, file_format: images.Format | None = None) -> str:
    """The suffix of a file's result: its own where that fits the format asked for.

    What cannot be written in its own format (GIF, HEIC) becomes PNG.
    """
    if file_format is None:
        return path.suffix if images.is_writable(path.suffix) else ".png"
    fits = path.suffix.lower() in file_format.suffixes
    return path.suffix if fits else file_format.suffixes[0]


def _read_tile(source: Source, tile: Tile, colours: int) -> Tensor:
    """A tile with its halo, [1, C, H, W] in [0, 1].

    Colour under transparent pixels is filled from a margin that is then cut off, so that
    the network sees the same tile whether a picture has an (opaque) alpha or not.
    """
    rows, columns = tile.rows, tile.columns
    margin = FILL_RADIUS if source.channels > colours else 0
    top, left = max(rows.first - margin, 0), max(columns.first - margin, 0)
    bottom, right = min(rows.last + margin, source.height), min(columns.last + margin, source.width)
    window = torch.from_numpy(source.window(top, bottom, left, right))
    x = window.permute(2, 0, 1)[None]
    if margin:
        colour, alpha = x[:, :colours], x[:, colours:]
        x = torch.cat((fill_transparent(colour, alpha), alpha), dim=1)
    x = x[:, :, rows.first - top : rows.last - top]
    return x[:, :, :, columns.first - left : columns.last - left]

"""Enlarges picture files: checks before any work, tiles from file to file, estimates."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from prosr.files import TargetExistsError
from prosr.images.formats import Format, find_format, is_writable
from prosr.images.loading import refusal, shown
from prosr.images.provenance import Making, origin_of
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


def target_of(path: Path, scale: int, output: str | os.PathLike[str] | None) -> Path:
    """The path of a file's result: `output`, a file in it if it is a folder, or beside the file."""
    beside = path.with_name(f"{path.stem}_x{scale}{result_suffix(path)}")
    if output is None:
        return beside
    return Path(output, beside.name) if Path(output).is_dir() else Path(output)


def result_suffix(path: Path, file_format: Format | None = None) -> str:
    """The suffix of a file's result: its own if it fits the requested format.

    Files of formats that cannot be written (GIF, HEIC) become PNG.
    """
    if file_format is None:
        return path.suffix if is_writable(path.suffix) else ".png"
    fits = path.suffix.lower() in file_format.suffixes
    return path.suffix if fits else file_format.suffixes[0]


def check_target(path: Path, target: Path) -> None:
    """Raise `ImageError` if the target is a folder, or the source under any name."""
    if target.is_dir():
        raise refusal(target, "is a folder; give another output")
    if target.exists() and target.samefile(path):
        raise refusal(target, "is the input itself; give another output")


def prepare(
    path: Path,
    scale: int,
    target: Path,
    overwrite: bool,
    max_memory: int,
    reserved: int,
    mark: str = "",
) -> tuple[Picture, Canvas]:
    """Open a picture and the canvas of its result, after all checks that are possible.

    Decoders and encoders that hold a whole picture must fit into `max_memory` bytes, of which
    `reserved` are in use. `mark` identifies the network in the result. Raises `ImageError`.
    """
    picture = Picture(path)
    file_format = find_format(target.suffix)
    check_target(path, target)
    if target.exists() and not overwrite:
        why = "exists already; give another output or overwrite it"
        raise TargetExistsError(f"{shown(target)}: {why}")
    size = scale * picture.height, scale * picture.width
    encoding = file_format.memory * size[0] * size[1]
    for file, verb, name, need, instead in (
        (path, "decoded", picture.format, picture.decoding, "make it a PNG"),
        (target, "encoded", file_format.name, encoding, "use PNG or TIFF"),
    ):
        if reserved + need > max_memory:
            needs = f"which needs {(reserved + need) / 1e9:.1f} GB"
            raise refusal(
                file, f"this {name} is {verb} as a whole, {needs}; allow more memory, or {instead}"
            )
    channels = picture.channels
    if not file_format.alpha and channels in (2, 4) and picture.is_opaque():
        channels -= 1
    dtype = min(picture.dtype, file_format.deepest, key=lambda dtype: dtype.itemsize)
    made_by = str(Making(mark, origin_of(path))) if mark else ""
    kept = picture.metadata, made_by, picture.bits
    canvas = Canvas(target, file_format, size, channels, dtype, *kept, over=overwrite)
    picture.remarks += canvas.remarks
    return picture, canvas


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

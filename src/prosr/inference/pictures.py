"""Picture files: all checks before any work, and the canvas of the result."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from prosr.errors import ConfigError
from prosr.files import TargetExistsError, replacing
from prosr.images.formats import Format, find_format, is_writable
from prosr.images.loading import explaining, refusal, shown
from prosr.images.provenance import Making, origin_of
from prosr.images.reading import Picture
from prosr.images.writing import TROUBLE, Canvas
from prosr.inference.resizing import remark_on
from prosr.sizes import Request, Route, requested


def target_of(path: Path, scale: Request | float, output: str | os.PathLike[str] | None) -> Path:
    """The path of a file's result: `output`, a file in it if it is a folder, or beside the file."""
    beside = path.with_name(f"{path.stem}_{requested(scale).label}{result_suffix(path)}")
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
    request: Request,
    target: Path,
    overwrite: bool,
    route_of: Callable[[tuple[int, int], Request], Route],
    max_memory: int,
    reserved: int,
    mark: str = "",
) -> tuple[Picture, Canvas | None, Route]:
    """Open a picture and the canvas of its result, after all checks that are possible.

    There is no canvas if the file is to be copied: it has the requested size and format.
    Decoders and encoders that hold a whole picture must fit into `max_memory` bytes, of which
    `reserved` are in use. `mark` identifies the network in the result. Raises `ImageError`.
    """
    picture = Picture(path)
    file_format = find_format(target.suffix)
    check_target(path, target)
    if target.exists() and not overwrite:
        why = "exists already; give another output or overwrite it"
        raise TargetExistsError(f"{shown(target)}: {why}")
    try:
        route = route_of((picture.height, picture.width), request)
    except ConfigError as error:
        raise refusal(path, str(error)) from error
    picture.remarks += filter(None, [remark_on(route)])
    same = picture.format == file_format.name and not request.settings and not request.dpi
    if same and route.size == route.source:
        return picture, None, route
    whole = file_format.memory * math.prod(route.size)
    for file, verb, name, need, instead in (
        (path, "decoded", picture.format, picture.decoding, "make it a PNG"),
        (target, "encoded", file_format.name, whole, "use PNG or TIFF"),
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
    settings = request.settings
    metadata = picture.metadata.stripped() if "strip" in dict(settings) else picture.metadata
    metadata = replace(metadata, dpi=request.dpi)
    if picture.lossless and file_format.name == picture.format and "quality" not in dict(settings):
        settings = (*settings, ("lossless", "true"))
    kept = metadata, made_by, picture.bits, settings, overwrite
    canvas = Canvas(target, file_format, route.size, channels, dtype, *kept)
    picture.remarks += canvas.remarks
    return picture, canvas, route


def copy(path: Path, target: Path, over: bool) -> None:
    """Copy a file to `target`, all or nothing. Raises `ImageError`."""
    with explaining(target, *TROUBLE), replacing(target, over) as temporary:
        shutil.copyfile(path, temporary)

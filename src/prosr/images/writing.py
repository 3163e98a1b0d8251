"""Results to files: samples gathered on disk, then encoded from top to bottom.

Tiles come side by side, encoders want whole rows, and no whole result may have to be in
memory. So samples go to a file beside the result first, as an uncompressed TIFF: libvips
reads that strip by strip, while it would map a file of bare samples into memory whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.files import replacing
from prosr.images import exif
from prosr.images.formats import Format
from prosr.images.loading import explaining, shown
from prosr.images.metadata import Metadata, attach, exif_block
from prosr.images.png import add_colours
from prosr.images.samples import from_unit, to_unit
from prosr.images.tiff import LONG, LONG8, SHORT, Value, make_header

_STRIP = 1_000_000
"""Bytes of samples in a strip of the file on disk, at least a row."""

_BIG_TIFF = 4_000_000_000
"""Bytes of samples from which a TIFF gets 64-bit offsets."""


class Canvas:
    """A result in the making, to be used in a `with` block that ends by `save`.

    `channels` is 1 to 4 as in `Picture`, `dtype` what samples are rounded to; it has to be
    one that `file_format` holds. Raises `ImageError` before any work if the format cannot
    hold the size or the alpha, the folder is read-only, or the disk cannot hold the samples.
    """

    def __init__(
        self,
        target: Path,
        file_format: Format,
        size: tuple[int, int],
        channels: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.target, self.format, self.dtype = target, file_format, dtype
        self.height, self.width = size
        self.channels = channels
        self._pixel = channels * dtype.itemsize
        check_fits(file_format, size, channels, target)
        self._check_disk()
        self._header = _header(size, channels, dtype)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Canvas:
        with explaining(self.target, "cannot be written"):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as undoing:
                # Without a name: nothing is left of it, however the process ends.
                file = tempfile.TemporaryFile(dir=self.target.parent, buffering=0)
                self._file = undoing.enter_context(file)
                self._file.write(self._header)
                self._file.truncate(len(self._header) + self._bytes())
                undoing.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, top: int, left: int, block: NDArray[np.float32]) -> None:
        """Place [rows, columns, channels] values in [0, 1] (clipped) at (top, left)."""
        assert self._file is not None, "put outside the with block"
        samples = np.ascontiguousarray(from_unit(block, self.dtype))
        with explaining(self.target, "cannot be written"):
            for row, line in enumerate(samples, top):
                self._file.seek(len(self._header) + (row * self.width + left) * self._pixel)
                self._file.write(line.data)

    def save(self, metadata: Metadata, *, made_by: str = "", bits: int | None = None) -> None:
        """Encode what was put and let it take the target's place, all or nothing.

        `bits` is how deep an AVIF of 16-bit samples shall be, 10 or 12.
        """
        assert self._file is not None, "save outside the with block"
        with explaining(self.target, "cannot be written"), replacing(self.target) as temporary:
            self._file.seek(0)
            source = pyvips.Source.new_from_descriptor(self._file.fileno())
            samples = pyvips.Image.tiffload_source(source, access="sequential", fail_on="error")
            image = attach(samples, metadata, made_by)
            save = partial(getattr(image, self.format.saver), os.fsencode(temporary))
            _run_interruptibly(partial(save, **self._options(bits)), image)
            if self.format.name == "PNG" and metadata.png_colours:
                add_colours(temporary, metadata.png_colours)
            if self.format.name == "TIFF":
                tags = exif.read_block(exif_block(metadata, made_by))
                exif.add_to_tiff(temporary, tags, self.width, self.height)

    def encode(self, samples: NDArray[Any], bits: int | None = None) -> int:
        """Bytes that these samples, [H, W, channels] of any type, take in the format."""
        block = from_unit(to_unit(samples[..., : self.channels]), self.dtype)
        image = pyvips.Image.new_from_array(np.ascontiguousarray(block))
        with explaining(self.target, "cannot be written"):
            return len(getattr(image, f"{self.format.saver}_buffer")(**self._options(bits)))

    def _options(self, bits: int | None) -> dict[str, Any]:
        options = dict(self.format.options)
        if self.format.name == "TIFF":
            options["predictor"] = "float" if self.dtype.kind == "f" else "horizontal"
            options["bigtiff"] = self._bytes() > _BIG_TIFF
        if self.format.name == "AVIF":
            options["bitdepth"] = 8 if self.dtype.itemsize == 1 else min(bits or 12, 12)
        return options

    def _bytes(self) -> int:
        return self.height * self.width * self._pixel

    def _check_disk(self) -> None:
        """The folder takes files, of the samples and as much again for the result at worst."""
        folder = self.target.absolute()
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK):
            raise ImageError(f"{shown(self.target)}: its folder is read-only; give another output")
        need, disk = 2 * self._bytes(), shutil.disk_usage(folder)
        # What has no size, such as /proc, is no disk and says itself what is wrong with it.
        if need > disk.free and disk.total:
            raise ImageError(
                f"{shown(self.target)}: needs {need / 1e6:,.1f} MB of disk while it is made, "
                f"{disk.free / 1e6:,.1f} MB are free; write to another disk"
            )


def _run_interruptibly(save: Callable[[], None], image: pyvips.Image) -> None:
    """Save `image` in a thread, for Ctrl-C reaches Python only between calls of the main one."""
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(save)
        try:
            saving.result()
        # KeyboardInterrupt above all: the thread is to end before it is waited for.
        except BaseException:
            image.set_kill(True)
            raise


def check_fits(file_format: Format, size: tuple[int, int], channels: int, target: Path) -> None:
    """Raise `ImageError`, naming what to use instead, if a format cannot hold a result."""
    height, width = size
    if max(size) > file_format.side:
        raise ImageError(
            f"{shown(target)}: {width}×{height} pixels are too many for {file_format.name} "
            f"({file_format.side:,} a side); use PNG or TIFF"
        )
    if channels in (2, 4) and not file_format.alpha:
        raise ImageError(
            f"{shown(target)}: {file_format.name} holds no transparency; "
            "use PNG, WebP, TIFF or AVIF"
        )


def _header(size: tuple[int, int], channels: int, dtype: np.dtype[Any]) -> bytes:
    """What makes the samples that follow it, row by row, an uncompressed BigTIFF."""
    height, width = size
    row = width * channels * dtype.itemsize
    rows = min(height, max(1, _STRIP // row))
    counts = [min(rows, height - top) * row for top in range(0, height, rows)]
    colours = 1 if channels < 3 else 3
    tags = {
        256: Value.of(LONG, width),
        257: Value.of(LONG, height),
        258: Value.of(SHORT, *[8 * dtype.itemsize] * channels),
        259: Value.of(SHORT, 1),  # not compressed
        262: Value.of(SHORT, 1 if colours == 1 else 2),  # gray with 0 for black, or RGB
        277: Value.of(SHORT, channels),
        278: Value.of(LONG, rows),
        279: Value.of(LONG8, *counts),
        339: Value.of(SHORT, *[3 if dtype.kind == "f" else 1] * channels),
    }
    if channels > colours:
        tags[338] = Value.of(SHORT, 2)  # alpha, not premultiplied
    # The header's length does not depend on the offsets in it, so the second one fits.
    header = b""
    for _ in range(2):
        tags[273] = Value.of(LONG8, *(len(header) + top * row for top in range(0, height, rows)))
        header = make_header(tags)
    return header

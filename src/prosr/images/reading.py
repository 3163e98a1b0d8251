"""Pictures from files: known by their header, then row by row."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.images import exif, metadata
from prosr.images.loading import explaining, open_image, shown, turn_of
from prosr.images.samples import from_unit, to_unit
from prosr.images.turning import Rectangle

_BATCH = 32
"""Rows decoded at a time: libvips buffers several times what it is asked for."""

_SAMPLE_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}


class Picture:
    """An opened file.

    `format` is what its content is, `width` and `height` are those of the upright picture,
    `channels` is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), `dtype` the type of
    its samples and `bits` how many of their bits the file used (8, 10, 12, 16, 32).
    `metadata` is what an enlargement inherits, `mark` what a result of ours says of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        image, self.format = open_image(path)
        self.channels = image.bands
        self._turn = turn_of(image)
        self._stored_width = image.width
        self.height, self.width = self._turn.size(image.height, image.width)
        self.dtype: np.dtype[Any] = np.dtype(_SAMPLE_TYPES[image.format])
        self.bits = _bits(image, self.dtype)
        self.metadata = metadata.collect(image)
        if self.format == "TIFF" and (tags := exif.read_tiff(path)):
            fields = metadata.exif_fields(exif.make_block(tags))
            self.metadata = replace(self.metadata, fields=self.metadata.fields + fields)
        self.mark = metadata.find_mark(self.metadata)
        self._region: pyvips.Region | None = None
        self._top = 0
        self._strip = np.empty((0, self._stored_width, self.channels), self.dtype)

    def window(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """The pixels of a rectangle in [0, 1], [rows, columns, channels].

        Rectangles in the order of `depth` decode the file once, however they overlap; going
        back starts over. Raises `ImageError` where the file is damaged.
        """
        top, bottom, left, right = self._stored((top, bottom, left, right))
        if not self._top <= top <= bottom <= self._top + len(self._strip):
            self._read(top, bottom)
        stored = self._strip[top - self._top : bottom - self._top, left:right]
        return to_unit(self._turn.upright(stored))

    def depth(self, top: int, bottom: int, left: int, right: int) -> int:
        """How far down in the file a rectangle begins."""
        return self._stored((top, bottom, left, right))[0]

    def _stored(self, upright: Rectangle) -> Rectangle:
        return self._turn.stored(upright, (self.height, self.width))

    def _read(self, top: int, bottom: int) -> None:
        """Make stored rows top…bottom−1 part of the strip, which then begins at `top`."""
        if self._region is None or top < self._top:
            image, _ = open_image(self.path)
            self._region = pyvips.Region.new(image)
            self._strip, self._top = self._strip[:0], top
        kept = self._strip[top - self._top :]
        shape = max(bottom - top, len(kept)), self._stored_width, self.channels
        strip = np.empty(shape, self.dtype)
        strip[: len(kept)] = kept
        with explaining(self.path):
            for row in range(top + len(kept), bottom, _BATCH):
                count = min(_BATCH, bottom - row)
                data = self._region.fetch(0, row, self._stored_width, count)
                block = np.frombuffer(data, self.dtype)
                strip[row - top :][:count] = block.reshape(count, self._stored_width, -1)
        self._top, self._strip = top, strip

    def check(self) -> None:
        """Decode all of it, to find damage before work is put into the picture.

        Raises `ImageError`, also for float samples outside [0, 1].
        """
        image, _ = open_image(self.path)
        with explaining(self.path):
            if self.dtype.kind == "u":
                image.avg()
                return
            statistics = image.stats()
            low, high = statistics(0, 0)[0], statistics(1, 0)[0]
        if not (low >= 0 and high <= 1):
            raise ImageError(
                f"{shown(self.path)}: float samples from {low:g} to {high:g}; bring them to 0…1"
            )

    def is_opaque(self) -> bool:
        """Whether nothing in it is even partly transparent; decodes one that has alpha."""
        if self.channels in (1, 3):
            return True
        full = 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max
        image, _ = open_image(self.path)
        with explaining(self.path):
            return bool(image[self.channels - 1].min() >= full)


def open_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture's header, or raise `ImageError` with what is wrong and what helps."""
    return Picture(Path(path))


def read_rgb(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A whole picture as [H, W, 3] 8-bit RGB in its own colour space, upright.

    For training and scoring: alpha is dropped, gray becomes RGB, deeper samples are
    rounded to 8 bits. Raises `ImageError`.
    """
    path = Path(path)
    image, _ = open_image(path)
    with explaining(path):
        data = image.write_to_memory()
    samples = np.frombuffer(data, _SAMPLE_TYPES[image.format])
    samples = samples.reshape(image.height, image.width, image.bands)
    samples = turn_of(image).upright(samples)
    if samples.dtype != np.uint8:
        samples = from_unit(to_unit(samples), np.uint8)
    colours = samples[..., :3] if image.bands > 2 else samples[..., :1]
    return np.ascontiguousarray(np.broadcast_to(colours, (*samples.shape[:2], 3)))


def _bits(image: pyvips.Image, dtype: np.dtype[Any]) -> int:
    """Deep AVIF pictures say how deep; 1-bit and palette pictures have become 8-bit ones."""
    if dtype == np.uint16 and image.get_typeof("bits-per-sample"):
        return max(10, int(image.get("bits-per-sample")))
    return 8 * dtype.itemsize

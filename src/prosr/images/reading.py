"""Pictures from files: known by their header, then decoded row by row."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.images import exif, metadata
from prosr.images.loading import explaining, open_image, shown, turn_of
from prosr.images.orientation import Turn
from prosr.images.png import read_colours
from prosr.images.samples import from_unit, to_unit
from prosr.images.tiff import largest_strip

_BATCH = 1_000_000
"""Bytes decoded at a time, at least a row: libvips buffers several times that."""

_SAMPLE_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}

_DECODED = {"WebP": 10, "AVIF": 30, "HEIC": 30, "GIF": 10}
"""Bytes per pixel, measured with libvips 8.18 on noise."""

_SCANNED = 2.4
"""Bytes of each sample of a progressive JPEG, half as many where colour is at half the size:
2.0 to 2.4 and 1.2 to 1.4, libvips 8.18, 48 megapixels."""

_STORED = 1.5
"""Of a strip's bytes in a TIFF, what the decoder takes to read them: 1.4, libvips 8.18."""

_TILE_ROWS = 3
"""Rows of a TIFF's tiles that are in memory at once: 2.8 of 2048 pixels each, libvips 8.18."""


class Picture:
    """An opened file.

    `format` is what its content is, `width` and `height` are those of the upright picture,
    `channels` is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), `dtype` the type of
    its samples and `bits` how many of their bits the file used (8, 10, 12, 16, 32).
    `metadata` is what an enlargement inherits, `making` what a result of ours says of itself.
    `decoding` is about how many bytes its decoder takes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        image, self.format = open_image(path)
        self.channels = image.bands
        self._turn = turn_of(image)
        self._stored_size = image.height, image.width
        self.height, self.width = self._turn.size(image.height, image.width)
        self.dtype: np.dtype[Any] = np.dtype(_SAMPLE_TYPES[image.format])
        self.bits = _bits(image, self.dtype)
        self.decoding = _decoder_bytes(image, self.format, path)
        self.metadata = metadata.collect(image, turned=self._turn != Turn())
        if self.format == "TIFF" and (tags := exif.read_tiff(path)):
            fields = metadata.exif_fields(exif.make_block(tags))
            self.metadata = replace(self.metadata, fields=self.metadata.fields + fields)
        if self.format == "PNG":
            with explaining(path):
                self.metadata = replace(self.metadata, png_colours=read_colours(path))
        self.making = metadata.making_of(self.metadata)

    @contextmanager
    def decoded(self, folder: Path) -> Iterator[Decoded]:
        """Decode all of it, once, into a file without a name in `folder`.

        So damage is found before work is put into the picture, and any rectangle can be
        read afterwards, in any order and in as little memory. Raises `ImageError`, also for
        float samples outside [0, 1].
        """
        with explaining(folder):
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        with file:
            with explaining(folder):
                low, high = self._decode(file)
            if self.dtype.kind == "f":
                _check_range(self.path, low, high)
            yield Decoded(file, self._stored_size, self.channels, self.dtype, self._turn)

    def middle(self, side: int) -> tuple[NDArray[Any], int]:
        """Samples from the middle, at most `side` each way, as stored: [H, W, channels].

        With them, how many pixels had to be decoded to come there. Raises `ImageError`.
        """
        image, _ = open_image(self.path)
        height, width = min(side, image.height), min(side, image.width)
        top, left = (image.height - height) // 2, (image.width - width) // 2
        with explaining(self.path):
            data = image.crop(left, top, width, height).write_to_memory()
        samples = np.frombuffer(data, self.dtype).reshape(height, width, self.channels)
        whole = self.decoding and self.format != "TIFF"
        rows = image.height if whole else top + height
        return samples, rows * image.width

    def is_opaque(self) -> bool:
        """Whether nothing in it is even partly transparent; decodes one that has alpha."""
        if self.channels in (1, 3):
            return True
        full = 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max
        image, _ = open_image(self.path)
        with explaining(self.path):
            return bool(image[self.channels - 1].min() >= full)

    def _decode(self, file: FileIO) -> tuple[float, float]:
        """Write the samples as they are stored; the least and the greatest of floats."""
        image, _ = open_image(self.path)
        region = pyvips.Region.new(image)
        rows = max(1, _BATCH // (image.width * self.channels * self.dtype.itemsize))
        low, high = math.inf, -math.inf
        for top in range(0, image.height, rows):
            with explaining(self.path):
                data = region.fetch(0, top, image.width, min(rows, image.height - top))
            file.write(data)
            if self.dtype.kind == "f":
                samples = np.frombuffer(data, self.dtype)
                low = float(np.minimum(low, samples.min()))
                high = float(np.maximum(high, samples.max()))
        return low, high


class Decoded:
    """The samples of a picture in a file of its own."""

    def __init__(
        self,
        file: FileIO,
        stored_size: tuple[int, int],
        channels: int,
        dtype: np.dtype[Any],
        turn: Turn,
    ) -> None:
        self._file, self._stored_width, self._dtype, self._turn = file, stored_size[1], dtype, turn
        self.height, self.width = turn.size(*stored_size)
        self.channels = channels

    def window(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """The pixels of a rectangle of the upright picture in [0, 1], [rows, columns, channels]."""
        size = self.height, self.width
        top, bottom, left, right = self._turn.stored((top, bottom, left, right), size)
        stored = np.empty((bottom - top, right - left, self.channels), self._dtype)
        pixel = self.channels * self._dtype.itemsize
        for row, line in enumerate(stored, top):
            self._file.seek((row * self._stored_width + left) * pixel)
            self._file.readinto(line.data)
        return to_unit(self._turn.upright(stored))


def open_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture's header, or raise `ImageError` with what is wrong and what helps."""
    return Picture(Path(path))


def read_rgb(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A whole picture as [H, W, 3] 8-bit RGB in its own colour space, upright.

    For training and scoring: alpha is dropped, gray becomes RGB, deeper samples are
    rounded to 8 bits. Raises `ImageError`, also for float samples outside [0, 1].
    """
    path = Path(path)
    image, _ = open_image(path)
    with explaining(path):
        data = image.write_to_memory()
    samples = np.frombuffer(data, _SAMPLE_TYPES[image.format])
    samples = samples.reshape(image.height, image.width, image.bands)
    samples = turn_of(image).upright(samples)
    if samples.dtype.kind == "f":
        _check_range(path, float(samples.min()), float(samples.max()))
    if samples.dtype != np.uint8:
        samples = from_unit(to_unit(samples), np.uint8)
    colours = samples[..., :3] if image.bands > 2 else samples[..., :1]
    return np.ascontiguousarray(np.broadcast_to(colours, (*samples.shape[:2], 3)))


def _check_range(path: Path, low: float, high: float) -> None:
    if math.isnan(low + high):
        raise ImageError(f"{shown(path)}: some float samples are not finite; bring them to 0…1")
    if low < 0 or high > 1:
        raise ImageError(
            f"{shown(path)}: float samples from {low:g} to {high:g}; bring them to 0…1"
        )


def _decoder_bytes(image: pyvips.Image, file_format: str, path: Path) -> int:
    """What a decoder keeps, 0 if it goes from row to row."""
    pixels, bands = int(image.width) * int(image.height), int(image.bands)
    sample: int = np.dtype(_SAMPLE_TYPES[image.format]).itemsize
    if file_format == "TIFF" and image.get_typeof("tile-height"):
        width, height = int(image.get("tile-width")), int(image.get("tile-height"))
        row = math.ceil(int(image.width) / width) * width
        return _TILE_ROWS * row * height * bands * sample
    if file_format == "TIFF":
        stored, apart = largest_strip(path)
        return int(_STORED * stored) + apart * bands * sample * pixels
    if image.get_typeof("interlaced") and image.get("interlaced") and file_format == "PNG":
        return bands * sample * pixels
    if file_format == "JPEG" and image.get("jpeg-multiscan"):
        halved = image.get("jpeg-chroma-subsample").startswith("4:2:0")
        return int(_SCANNED / (2 if halved else 1) * bands * pixels)
    return _DECODED.get(file_format, 0) * pixels


def _bits(image: pyvips.Image, dtype: np.dtype[Any]) -> int:
    """Deep AVIF pictures say how deep; 1-bit and palette pictures have become 8-bit ones."""
    if dtype == np.uint16 and image.get_typeof("bits-per-sample"):
        return max(10, int(image.get("bits-per-sample")))
    return 8 * dtype.itemsize

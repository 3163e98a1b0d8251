"""Read pictures: the header when opened, then the samples row by row."""

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
from prosr.images import metadata
from prosr.images.loading import explaining, open_image, shown
from prosr.images.provenance import find_making
from prosr.images.samples import from_unit, to_unit
from prosr.images.tiff import largest_strip, read_exif

_BATCH = 1_000_000
"""Bytes decoded at a time, at least a row. libvips buffers several times as much."""

_SAMPLE_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}

# What decoders keep in memory; measured with libvips 8.18.
_DECODED = {"WebP": 10, "AVIF": 30, "HEIC": 30, "GIF": 10}
"""Bytes per pixel, on noise."""

_SCANNED = 2.4
"""Bytes per sample of a progressive JPEG, 2.0 to 2.4; half of it with 4:2:0 (48 megapixels)."""

_STORED = 1.5
"""Bytes per stored byte of a TIFF's longest strip; 1.4 was measured."""

_TILE_ROWS = 3
"""Rows of tiles of a TIFF; 2.8 was measured with tiles of 2048 pixels."""


class Picture:
    """An opened picture; `width`, `height` and everything else describe it upright.

    `format` is the name of the content's format. `channels` is 1 (gray), 2 (gray, alpha),
    3 (RGB) or 4 (RGB, alpha). `dtype` is the type of its samples, `bits` their depth in
    the file (8, 10, 12, 16, 32). `metadata` is what an enlargement inherits, `making` its
    provenance. `decoding` is about how many bytes the decoder needs; 0 if it streams rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        image, self.format = open_image(path)
        self._orientation = orientation_of(image)
        self._stored = size = image.height, image.width
        self.height, self.width = size[::-1] if self._orientation >= 5 else size
        self.channels = image.bands
        self.dtype: np.dtype[Any] = np.dtype(_SAMPLE_TYPES[image.format])
        self.bits = _bits(image, self.dtype)
        self.decoding = _decoder_bytes(image, self.format, path)
        self.metadata = metadata.collect(image, turned=self._orientation > 1)
        if self.format == "TIFF" and (block := read_exif(path)):
            fields = metadata.exif_fields(block)
            self.metadata = replace(self.metadata, fields=self.metadata.fields | fields)
        if self.format == "PNG":
            with explaining(path):
                chunks = metadata.read_png_colours(path)
            self.metadata = replace(self.metadata, png_colours=chunks)
        self.making = find_making(metadata.software(self.metadata))

    @contextmanager
    def decoded(self, folder: Path) -> Iterator[DecodedPicture]:
        """Decode the whole picture, once, into a nameless file in `folder`.

        So damage is found before any other work, and windows can be read in any order
        with little memory. Raises `ImageError`, also for float samples outside [0, 1].
        """
        with explaining(folder):
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        with file:
            with explaining(folder):
                self._decode(file)
            shape = (*self._stored, self.channels)
            yield DecodedPicture(file, shape, self.dtype, self._orientation)

    def middle(self, side: int) -> tuple[NDArray[Any], int]:
        """Samples of the middle, at most `side` × `side` pixels, as stored: [H, W, channels].

        Also returns how many pixels were decoded to get there. Raises `ImageError`.
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
        """Whether no pixel is even partly transparent; decodes the picture if it has alpha."""
        if self.channels in (1, 3):
            return True
        full = 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max
        image, _ = open_image(self.path)
        with explaining(self.path):
            return bool(image[self.channels - 1].min() >= full)

    def _decode(self, file: FileIO) -> None:
        """Write the samples as stored."""
        image, _ = open_image(self.path)
        region = pyvips.Region.new(image)
        rows = max(1, _BATCH // (image.width * self.channels * self.dtype.itemsize))
        for top in range(0, image.height, rows):
            with explaining(self.path):
                data = region.fetch(0, top, image.width, min(rows, image.height - top))
            _check_range(self.path, np.frombuffer(data, self.dtype))
            file.write(data)


class DecodedPicture:
    """The samples of a picture in a nameless file, read window by window.

    libvips could do this with a temporary image and `autorot`. But it puts the temporary
    image into the system's temporary folder, which may be in memory, and its operation cache
    keeps that file open after use.
    """

    def __init__(
        self, file: FileIO, shape: tuple[int, int, int], dtype: np.dtype[Any], orientation: int
    ) -> None:
        self._file, self._shape, self._dtype = file, shape, dtype
        self._orientation = orientation
        self.height, self.width, self.channels = self._upright().shape

    def window(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """A rectangle of the upright picture in [0, 1], [bottom - top, right - left, channels]."""
        return to_unit(self._upright()[top:bottom, left:right])

    def _upright(self) -> NDArray[Any]:
        """All samples; mapped anew each time, so that memory holds only the pages in use."""
        stored = np.memmap(self._file, self._dtype, "r", shape=self._shape)
        return upright(np.asarray(stored), self._orientation)


def open_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture's header. Raises `ImageError` with what is wrong and the remedy."""
    return Picture(Path(path))


def read_rgb(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a whole picture as [H, W, 3] 8-bit RGB in its own colour space, upright.

    For training and scoring: drops alpha, repeats gray, rounds deeper samples to 8 bits.
    Raises `ImageError`, also for float samples outside [0, 1].
    """
    path = Path(path)
    image, _ = open_image(path)
    with explaining(path):
        data = image.write_to_memory()
    samples = np.frombuffer(data, _SAMPLE_TYPES[image.format])
    samples = samples.reshape(image.height, image.width, image.bands)
    samples = upright(samples, orientation_of(image))
    _check_range(path, samples)
    if samples.dtype != np.uint8:
        samples = from_unit(to_unit(samples), np.uint8)
    colours = samples[..., :3] if image.bands > 2 else samples[..., :1]
    return np.ascontiguousarray(np.broadcast_to(colours, (*samples.shape[:2], 3)))


def orientation_of(image: pyvips.Image) -> int:
    """The EXIF orientation of an opened picture, 1 to 8; 1 (upright) if missing or unknown."""
    orientation = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return orientation if 1 <= orientation <= 8 else 1


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The upright view of stored pixels, [H, W, C]; nothing is copied.

    Orientations 5 to 8 are transposed first. Then rows, columns or both are reversed.
    """
    if orientation >= 5:
        stored = np.swapaxes(stored, 0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return stored[::rows, ::columns]


def _check_range(path: Path, samples: NDArray[Any]) -> None:
    """Raise `ImageError` if some samples are floats outside [0, 1]."""
    if samples.dtype.kind != "f":
        return
    low, high = float(samples.min()), float(samples.max())
    if math.isnan(low + high):
        raise ImageError(f"{shown(path)}: some float samples are not finite; bring them to 0…1")
    if low < 0 or high > 1:
        raise ImageError(
            f"{shown(path)}: float samples from {low:g} to {high:g}; bring them to 0…1"
        )


def _decoder_bytes(image: pyvips.Image, file_format: str, path: Path) -> int:
    """Bytes that a decoder keeps; 0 if it streams rows."""
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
    """Bits per sample. Deep AVIF states them; 1-bit and palette pictures are decoded to 8 bits."""
    if dtype == np.uint16 and image.get_typeof("bits-per-sample"):
        return max(10, int(image.get("bits-per-sample")))
    return 8 * dtype.itemsize

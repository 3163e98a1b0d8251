"""Read pictures: the header when opened, then the samples row by row."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.images.containers import collect
from prosr.images.damage import decode
from prosr.images.encoding import is_lossless
from prosr.images.loading import DTYPES, explaining, open_image, refusal
from prosr.images.provenance import find_making
from prosr.images.samples import from_unit, to_unit
from prosr.images.tiff import storage

# Memory of decoders, measured with libvips 8.18.
_DECODED = {"WebP": 10, "AVIF": 30, "HEIC": 30, "GIF": 10}
"""Bytes per pixel, on noise."""

_SCANNED = 2.4
"""Bytes per sample of a progressive JPEG, 2.0 to 2.4; half of it with 4:2:0 (48 megapixels)."""

_STORED = 1.5
"""Bytes per stored byte of a TIFF's longest strip; 1.4 was measured."""

_TILE_ROWS = 3
"""Rows of tiles of a TIFF; 2.8 was measured with tiles of 2048 pixels."""


class Picture:
    """A picture whose header has been read. All attributes describe it upright.

    `format` is the name of the content's format. `channels` is 1 (gray), 2 (gray, alpha), 3 (RGB)
    or 4 (RGB, alpha). `dtype` is the type of its samples, `bits` their depth in the file (1 to 32),
    None if the file does not state it. `metadata` is inherited by an enlargement, `making` is the
    provenance. `lossless` is whether a WebP or AVIF is. `decoding` is the approximate memory of the
    decoder in bytes; 0 if it streams rows. `remarks` are lines about what is lost or doubtful,
    complete after `decoded`. Raises `ImageError` with the problem and the remedy.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        image, self.format = open_image(path)
        self._orientation = orientation_of(image)
        self._stored = size = image.height, image.width
        self.height, self.width = size[::-1] if self._orientation >= 5 else size
        self.channels = image.bands
        self.dtype = DTYPES[image.format]
        stated = image.get_typeof("bits-per-sample")
        self.bits = int(image.get("bits-per-sample")) if stated else None
        self.decoding = _decoder_bytes(image, self.format, path)
        with explaining(path):
            self.metadata = collect(image, path, self.format, self._orientation)
            self.lossless = is_lossless(path, self.format)
        self.making = find_making(self.metadata.software)
        self.remarks: list[str] = []

    @contextmanager
    def decoded(self, folder: Path) -> Iterator[Callable[[], NDArray[Any]]]:
        """Decode the whole picture once into an unnamed file in `folder`.

        Yields a function that returns all samples, [H, W, channels]. Each call maps the file again,
        so that memory holds only the pages in use. Damage is detected before any other work, and
        windows can be read in any order with little memory. Raises `ImageError`, also for float
        samples outside [0, 1].

        libvips could do this with a temporary image and `autorot`. But it puts the temporary
        image into the system's temporary folder, which may be in memory, and its operation
        cache keeps that file open after use.
        """
        with explaining(folder):
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        with file:
            with explaining(folder):
                self._decode(file)
            shape = (*self._stored, self.channels)

            def read() -> NDArray[Any]:
                stored = np.memmap(file, self.dtype, "r", shape=shape)
                return upright(np.asarray(stored), self._orientation)

            yield read

    def _decode(self, file: FileIO) -> None:
        """Write the samples as stored. The decoder's memory is freed at the end."""

        def put(data: bytes) -> None:
            _check_range(self.path, np.frombuffer(data, self.dtype))
            file.write(data)

        self.remarks += decode(self.path, put)

    def middle(self, side: int) -> NDArray[Any]:
        """Samples of the central `side` × `side` pixels or fewer, as stored: [H, W, channels].

        Raises `ImageError`.
        """
        image, _ = open_image(self.path)
        height, width = min(side, image.height), min(side, image.width)
        top, left = (image.height - height) // 2, (image.width - width) // 2
        with explaining(self.path):
            piece = np.asarray(image.crop(left, top, width, height))
            return piece.reshape(height, width, self.channels)

    def is_opaque(self) -> bool:
        """Whether all pixels of a picture with alpha are fully opaque. Decodes the picture."""
        full = 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max
        image, _ = open_image(self.path)
        with explaining(self.path):
            return bool(image[self.channels - 1].min() >= full)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a whole picture as [H, W, 3] 8-bit RGB in its own colour space, upright.

    For training and scoring: drops alpha, repeats gray, rounds deeper samples to 8 bits.
    Raises `ImageError`, also for float samples outside [0, 1].
    """
    image, _ = open_image(path)
    data = bytearray()
    decode(path, data.extend)
    stored = np.frombuffer(data, DTYPES[image.format])
    samples = upright(stored.reshape(image.height, image.width, -1), orientation_of(image))
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
        raise refusal(path, "some float samples are not finite; scale them to 0…1")
    if low < 0 or high > 1:
        raise refusal(path, f"float samples from {low:g} to {high:g}; scale them to 0…1")


def _decoder_bytes(image: pyvips.Image, file_format: str, path: Path) -> int:
    """Bytes of a decoder's buffers; 0 if it streams rows."""
    pixels, bands = int(image.width) * int(image.height), int(image.bands)
    sample = DTYPES[image.format].itemsize
    if file_format == "TIFF" and image.get_typeof("tile-height"):
        width, height = int(image.get("tile-width")), int(image.get("tile-height"))
        row = math.ceil(int(image.width) / width) * width
        return _TILE_ROWS * row * height * bands * sample
    if file_format == "TIFF":
        stored = storage(path)
        return int(_STORED * stored.strip) + stored.apart * bands * sample * pixels
    if image.get_typeof("interlaced") and image.get("interlaced") and file_format == "PNG":
        return bands * sample * pixels
    if file_format == "JPEG" and image.get("jpeg-multiscan"):
        halved = image.get("jpeg-chroma-subsample").startswith("4:2:0")
        return int(_SCANNED / (2 if halved else 1) * bands * pixels)
    return _DECODED.get(file_format, 0) * pixels

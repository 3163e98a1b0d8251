"""Decoded pictures on disk: shared by all processes, bounded, the least recently used go.

<key>.npy      the pixels, [H, W, 3]
<key>-2.npy    the whole picture's input for 2 times; <key>-4.npy and <key>-8.npy likewise
<key>.cells    height, width, and the detail of each of the picture's cells in row order

A key is made from a file's place, size and time of change. The cells stay when the pixels
go, so that a picture that has been seen once is opened without being decoded.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prosr import images
from prosr.errors import DataError, ImageError
from prosr.files import replacing
from prosr.resample import make_input

CELL = 32
"""Side of the squares, in pixels, for which the amount of detail is known."""

CACHE_SIZE = 20_000_000_000

_SHARE = 32
"""A process looks at the whole folder when it has written this part of the limit."""

Pixels = NDArray[np.uint8]


@dataclass
class Decoded:
    """The pictures kept in `folder`, of at most `limit` bytes.

    Several processes may use a folder at a time; each that writes can exceed the limit by
    1/32 until it looks again.
    """

    folder: Path
    limit: int = CACHE_SIZE
    _written: float = field(default=float("inf"), repr=False)

    def open(self, path: Path) -> tuple[str, NDArray[np.float64]]:
        """The key of a picture and what its cells file holds; decodes it if it is new.

        Raises `ImageError` for a file that is no picture.
        """
        key = _key(path)
        try:
            return key, self.cells(key)
        # A power cut may have left half of it.
        except (FileNotFoundError, NotADirectoryError, ValueError, EOFError):
            return key, self.add(key, images.read_rgb(path))

    def add(self, key: str, pixels: Pixels) -> NDArray[np.float64]:
        """Store a new picture; gives what its cells file holds."""
        self.keep(key, pixels)
        cells = np.concatenate((pixels.shape[:2], detail(pixels).ravel()))
        self._save(self.folder / f"{key}.cells", cells)
        return cells

    def cells(self, key: str) -> NDArray[np.float64]:
        """What the cells file holds."""
        with open(self.folder / f"{key}.cells", "rb") as stored:
            cells: NDArray[np.float64] = np.load(stored)
        return cells

    def pixels(self, key: str, path: Path) -> Pixels:
        """The pixels, memory-mapped, or decoded again if they had to go.

        A map holds a file open while it lives, so nobody should collect them.
        """
        try:
            mapped = self._mapped(key)
        except (FileNotFoundError, ValueError, EOFError):
            if _key(path) != key:
                raise DataError(
                    f"{path} was changed while it is trained on; the same command goes on"
                ) from None
            mapped = images.read_rgb(path)
            self.keep(key, mapped)
        return mapped

    def reduced(self, key: str, path: Path, scale: int) -> Pixels:
        """The picture's benchmark input for `scale`, memory-mapped, or made if it is not there.

        The picture is cropped at the right and bottom to a multiple of `scale` first.
        """
        name = f"{key}-{scale}"
        try:
            return self._mapped(name)
        except (FileNotFoundError, ValueError, EOFError):
            pixels = self.pixels(key, path)
            height, width = (length // scale * scale for length in pixels.shape[:2])
            made = make_input(pixels[:height, :width], scale)
            self.keep(name, made)
            return made

    def _mapped(self, name: str) -> Pixels:
        stored = self.folder / f"{name}.npy"
        mapped: Pixels = np.load(stored, mmap_mode="r")
        # A folder that somebody else keeps can be read all the same.
        with suppress(OSError):
            os.utime(stored)
        return mapped

    def keep(self, key: str, pixels: Pixels) -> None:
        """Store a picture's pixels, and let others go where there is no room."""
        if pixels.nbytes > self.limit:
            return
        self._save(self.folder / f"{key}.npy", pixels)
        self._written += pixels.nbytes
        if self._written > self.limit / _SHARE:
            self._make_room()
            self._written = 0

    def _make_room(self) -> None:
        """Remove the least recently used pictures until one share of the limit is free."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                # Another process may have removed it since.
                with suppress(FileNotFoundError):
                    if entry.name.endswith(".npy") and not entry.name.startswith("."):
                        status = entry.stat()
                        found.append((status.st_mtime_ns, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, name in sorted(found):
            if total <= self.limit - self.limit // _SHARE:
                break
            # Windows keeps a file that another process reads.
            with suppress(FileNotFoundError, PermissionError):
                os.unlink(name)
                total -= size

    def _save(self, target: Path, array: NDArray[np.generic]) -> None:
        try:
            with replacing(target) as temporary, open(temporary, "wb") as file:
                np.save(file, array)
        except OSError as error:
            raise DataError(
                f"{self.folder}: decoded pictures cannot be kept there ({error.strerror}); "
                "give another --cache or a smaller --cache-size"
            ) from error


def detail(pixels: Pixels) -> NDArray[np.float64]:
    """Mean absolute difference of neighbouring pixels in each CELL×CELL square, [rows, columns]."""
    luma = pixels.astype(np.float32).mean(axis=2)
    change = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    change += np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    edges = [np.arange(0, length, CELL) for length in luma.shape]
    sums = np.add.reduceat(np.add.reduceat(change, edges[0], axis=0), edges[1], axis=1)
    return sums.astype(np.float64) / CELL**2


def _key(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]

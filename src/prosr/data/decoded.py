"""A cache of decoded pictures on disk: shared by processes, limited, least recently used.

<key>.npy      the pixels, [H, W, 3]
<key>.cells    height, width, and the detail of each cell of the picture in row order

The key is a hash of the file's path, size and time of change. The cells are never evicted, so
that a known picture can be opened without being decoded.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prosr.errors import DataError
from prosr.files import replacing
from prosr.images.loading import explaining
from prosr.images.reading import read_rgb

CELL = 32
"""Side in pixels of the squares for which the amount of detail is stored."""

CACHE_SIZE = 20_000_000_000

_SHARE = 32
"""A process scans the folder after it has written 1/32 of the limit."""

Pixels = NDArray[np.uint8]


@dataclass
class DecodedPictures:
    """The decoded pictures in `folder`, `limit` bytes of pixels at most.

    Several processes may use a folder at the same time. Each can exceed the limit by 1/32
    before it scans the folder.
    """

    folder: Path
    limit: int = CACHE_SIZE
    _written: float = field(default=float("inf"), repr=False)

    def open(self, path: Path) -> tuple[str, NDArray[np.float64]]:
        """Return a picture's key and its cells file, decoding it if it is new.

        Raises `ImageError` for a file that is not a picture.
        """
        key = _key(path)
        try:
            return key, self.cells(key)
        # A power cut may have truncated it.
        except (FileNotFoundError, NotADirectoryError, ValueError, EOFError):
            return key, self.add(key, read_rgb(path))

    def add(self, key: str, pixels: Pixels) -> NDArray[np.float64]:
        """Store a new picture and return its cells file."""
        self.keep(key, pixels)
        cells = np.concatenate((pixels.shape[:2], detail(pixels).ravel()))
        self._save(self.folder / f"{key}.cells", cells)
        return cells

    def cells(self, key: str) -> NDArray[np.float64]:
        """Read a cells file: height, width and the detail of each cell."""
        cells: NDArray[np.float64] = np.load(self.folder / f"{key}.cells")
        return cells

    def pixels(self, key: str, path: Path) -> Pixels:
        """The pixels, memory-mapped, or decoded again if they were evicted.

        Each map keeps a file open, so do not hold many.
        """
        stored = self.folder / f"{key}.npy"
        try:
            mapped: Pixels = np.load(stored, mmap_mode="r")
            # A read-only folder is fine.
            with suppress(OSError):
                os.utime(stored)
        except (FileNotFoundError, ValueError, EOFError):
            if _key(path) != key:
                raise DataError(
                    f"{path} was changed during training; run the same command to resume"
                ) from None
            mapped = read_rgb(path)
            self.keep(key, mapped)
        return mapped

    def keep(self, key: str, pixels: Pixels) -> None:
        """Store pixels, and evict others if the limit is exceeded."""
        if pixels.nbytes > self.limit:
            return
        self._save(self.folder / f"{key}.npy", pixels)
        self._written += pixels.nbytes
        if self._written > self.limit / _SHARE:
            self._evict()
            self._written = 0

    def _evict(self) -> None:
        """Remove the least recently used pixels until 1/32 of the limit is free."""
        found = []
        # Hidden files are those that a killed process has left half written.
        for path in self.folder.glob("*.npy"):
            # Another process may have removed it.
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit - self.limit // _SHARE:
                break
            # Windows does not remove a file that another process reads.
            with suppress(FileNotFoundError, PermissionError):
                path.unlink()
                total -= size

    def _save(self, target: Path, array: NDArray[np.generic]) -> None:
        try:
            with replacing(target) as temporary, open(temporary, "wb") as file:
                np.save(file, array)
        except OSError as error:
            raise DataError(
                f"{self.folder}: decoded pictures cannot be stored there ({error.strerror}); "
                "give another --cache or a smaller --cache-size"
            ) from error


def detail(pixels: Pixels) -> NDArray[np.float64]:
    """Mean absolute difference of neighbouring pixels in each cell, [rows, columns]."""
    luma = pixels.astype(np.float32).mean(axis=2)
    change = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    change += np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    edges = [np.arange(0, length, CELL) for length in luma.shape]
    sums = np.add.reduceat(np.add.reduceat(change, edges[0], axis=0), edges[1], axis=1)
    return sums.astype(np.float64) / CELL**2


def _key(path: Path) -> str:
    with explaining(path):
        status = path.stat()
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]

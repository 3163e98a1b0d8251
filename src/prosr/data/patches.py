"""Training pictures, decoded once and cut into patches where there is detail.

Pictures are kept decoded in a cache of memory-mapped arrays, so neither start-up time
nor memory grows with every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prosr import images
from prosr.errors import DataError, ImageError
from prosr.files import replacing
from prosr.resample import make_input

CELL = 32
"""Side of the squares, in pixels, for which the amount of detail is known."""

EVEN_SHARE = 1e-3
"""Added to the detail of each cell, so that a picture without any can be drawn from."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One decoded training picture; `pixels` is [H, W, 3], memory-mapped.

    `cumulative` is the running sum, ending at 1, of the detail in its cells in row order.
    """

    path: Path
    pixels: Pixels
    cumulative: NDArray[np.float64]

    def holds(self, side: int) -> bool:
        """Whether a square of `side` pixels fits in."""
        return bool(min(self.pixels.shape[:2]) >= side)

    def draw(self, rng: np.random.Generator, side: int, grid: int) -> tuple[int, int]:
        """Pick the top left corner of a square of `side`, in proportion to detail.

        Corners are multiples of `grid`.
        """
        height, width = self.pixels.shape[:2]
        cell = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        row, column = divmod(min(cell, len(self.cumulative) - 1), -(-width // CELL))
        corner = []
        for index, length in ((row, height), (column, width)):
            centre = index * CELL + int(rng.integers(CELL))
            last = (length - side) // grid
            corner.append(grid * min(max((centre - side // 2) // grid, 0), last))
        return corner[0], corner[1]


def cut(picture: Picture, top: int, left: int, patch: int, scale: int) -> tuple[Pixels, Pixels]:
    """Cut the pair (x, y) whose truth starts at (top, left), multiples of `scale`.

    x is [patch, patch, 3] and exactly the part of the whole picture's benchmark input
    there; y is [scale·patch, scale·patch, 3].
    """
    margin = 3 * scale
    height, width = (length // scale * scale for length in picture.pixels.shape[:2])
    side = patch * scale
    y0, x0 = max(top - margin, 0), max(left - margin, 0)
    y1, x1 = min(top + side + margin, height), min(left + side + margin, width)
    surroundings = picture.pixels[y0:y1, x0:x1]
    reduced = make_input(surroundings, scale)
    row, column = (top - y0) // scale, (left - x0) // scale
    truth = surroundings[top - y0 : top - y0 + side, left - x0 : left - x0 + side]
    return reduced[row : row + patch, column : column + patch], truth


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """Every file below `folders` whose suffix is a picture's, sorted by path."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give a folder of pictures")
        found += sorted(
            path
            for path in folder.rglob("*")
            if images.is_picture(path) and not path.name.startswith(".")
        )
    return found


def open_pictures(
    paths: Iterable[Path],
    cache: Path,
    progress: Callable[[], None] = lambda: None,
) -> tuple[list[Picture], list[str]]:
    """Open pictures through `cache`; also return one line for each that cannot be read."""
    pictures, problems = [], []
    for path in paths:
        try:
            pictures.append(_open(path, cache))
        except ImageError as error:
            problems.append(str(error))
        progress()
    return pictures, problems


def detail(pixels: Pixels) -> NDArray[np.float64]:
    """Mean absolute difference of neighbouring pixels in each CELL×CELL square, [rows, columns]."""
    luma = pixels.astype(np.float32).mean(axis=2)
    change = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    change += np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    edges = [np.arange(0, length, CELL) for length in luma.shape]
    sums = np.add.reduceat(np.add.reduceat(change, edges[0], axis=0), edges[1], axis=1)
    return sums.astype(np.float64) / CELL**2


def _open(path: Path, cache: Path) -> Picture:
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    stored = cache / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.npy"
    detailed = stored.with_suffix(".detail.npy")
    # The detail is written last: where it is, the pixels are whole.
    if not detailed.exists():
        pixels = images.read_rgb(path)
        for target, array in ((stored, pixels), (detailed, detail(pixels))):
            with replacing(target) as temporary:
                np.save(temporary, array)
    cells = np.load(detailed).ravel() + EVEN_SHARE
    return Picture(path, np.load(stored, mmap_mode="r"), np.cumsum(cells) / cells.sum())

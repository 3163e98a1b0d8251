"""Training pictures, decoded once and cut into patches where there is detail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prosr import images
from prosr.data.decoded import CACHE_SIZE, CELL, Decoded, Pixels
from prosr.errors import DataError, ImageError

EVEN_SHARE = 1e-3
"""Added to the detail of each cell, so that a picture without any can be drawn from."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One training picture: its size, and by `key` its pixels and detail in `decoded`.

    Nothing else is held in memory, however many pictures there are.
    """

    path: Path
    height: int
    width: int
    key: str
    decoded: Decoded

    @property
    def pixels(self) -> Pixels:
        """[H, W, 3], memory-mapped or decoded each time it is asked for."""
        return self.decoded.pixels(self.key, self.path)

    def reduced(self, scale: int) -> Pixels:
        """The benchmark input for `scale`, [H/s, W/s, 3] rounded down, kept like the pixels."""
        return self.decoded.reduced(self.key, self.path, scale)

    def holds(self, side: int) -> bool:
        """Whether a square of `side` pixels fits in."""
        return min(self.height, self.width) >= side

    def draw(self, rng: np.random.Generator, side: int, grid: int) -> tuple[int, int]:
        """Pick the top left corner of a square of `side`, in proportion to detail.

        Corners are multiples of `grid`.
        """
        cells = self.decoded.cells(self.key)[2:] + EVEN_SHARE
        cumulative = np.cumsum(cells) / cells.sum()
        cell = int(np.searchsorted(cumulative, rng.random(), side="right"))
        row, column = divmod(min(cell, len(cumulative) - 1), -(-self.width // CELL))
        corner = []
        for index, length in ((row, self.height), (column, self.width)):
            centre = index * CELL + int(rng.integers(CELL))
            last = (length - side) // grid
            corner.append(grid * min(max((centre - side // 2) // grid, 0), last))
        return corner[0], corner[1]


def cut(picture: Picture, top: int, left: int, patch: int, scale: int) -> tuple[Pixels, Pixels]:
    """Cut the pair (x, y) whose truth starts at (top, left), multiples of `scale`.

    x is [patch, patch, 3] and exactly the part of the whole picture's benchmark input
    there; y is [scale·patch, scale·patch, 3].
    """
    row, column, side = top // scale, left // scale, patch * scale
    x = picture.reduced(scale)[row : row + patch, column : column + patch]
    return x, picture.pixels[top : top + side, left : left + side]


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
    cache_size: int = CACHE_SIZE,
) -> tuple[list[Picture], list[str]]:
    """Open pictures through `cache`; also return one line for each that cannot be read."""
    decoded = Decoded(cache, cache_size)
    pictures, problems = [], []
    for path in paths:
        try:
            key, cells = decoded.open(path)
            pictures.append(Picture(path, int(cells[0]), int(cells[1]), key, decoded))
        except ImageError as error:
            problems.append(str(error))
        progress()
    return pictures, problems

"""Training pictures, decoded once, and patches of them where there is detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prosr import images
from prosr.data.decoded import CACHE_SIZE, CELL, DecodedPictures, Pixels
from prosr.errors import DataError, ImageError
from prosr.resample import make_input

EVEN_SHARE = 1e-3
"""Added to the detail of each cell, so that flat pictures can be drawn from too."""


@dataclass(frozen=True, slots=True)
class TrainingPicture:
    """A training picture: its size, and the key of its pixels and detail in `decoded`.

    Nothing else is in memory, so that there can be very many.
    """

    path: Path
    height: int
    width: int
    key: str
    decoded: DecodedPictures

    @property
    def pixels(self) -> Pixels:
        """The pixels, [H, W, 3], memory-mapped or decoded at each access."""
        return self.decoded.pixels(self.key, self.path)

    def draw(self, rng: np.random.Generator, side: int, grid: int) -> tuple[int, int]:
        """Draw the top left corner of a square of `side`, in proportion to detail.

        Its coordinates are multiples of `grid`.
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


def cut(
    picture: TrainingPicture, top: int, left: int, patch: int, scale: int
) -> tuple[Pixels, Pixels]:
    """Cut the pair (x, y) whose ground truth starts at (top, left), multiples of `scale`.

    y is [scale·patch, scale·patch, 3]. x is [patch, patch, 3] and equals that part of the
    whole picture's low-resolution input.
    """
    margin = 3 * scale
    height, width = (length // scale * scale for length in (picture.height, picture.width))
    side = patch * scale
    y0, x0 = max(top - margin, 0), max(left - margin, 0)
    y1, x1 = min(top + side + margin, height), min(left + side + margin, width)
    surroundings = picture.pixels[y0:y1, x0:x1]
    reduced = make_input(surroundings, scale)
    row, column = (top - y0) // scale, (left - x0) // scale
    y = surroundings[top - y0 : top - y0 + side, left - x0 : left - x0 + side]
    return reduced[row : row + patch, column : column + patch], y


def open_pictures(
    folders: Sequence[Path],
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cache_size: int = CACHE_SIZE,
) -> tuple[list[TrainingPicture], list[str]]:
    """Open all pictures below `folders` through `cache`, sorted by path.

    A picture is known by its suffix. `progress` gets the number of those opened and of all.
    Also returns one line for each that cannot be read.
    """
    paths: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give a folder of pictures")
        found = (path for path in folder.rglob("*") if images.is_picture(path))
        paths += sorted(path for path in found if not path.name.startswith("."))
    decoded = DecodedPictures(cache, cache_size)
    pictures, problems = [], []
    for number, path in enumerate(paths, 1):
        try:
            key, cells = decoded.open(path)
            pictures.append(TrainingPicture(path, int(cells[0]), int(cells[1]), key, decoded))
        except ImageError as error:
            problems.append(str(error))
        progress(number, len(paths))
    return pictures, problems

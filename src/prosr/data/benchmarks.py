"""Benchmark sets: any folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prosr.data.decoded import Pixels
from prosr.errors import DataError
from prosr.images.formats import is_picture
from prosr.images.reading import read_rgb
from prosr.resample import make_input


@dataclass(frozen=True)
class Pair:
    """A low-resolution input x, [H, W, 3], and its ground truth y, [sH, sW, 3].

    `name` is the file's name without its suffix.
    """

    name: str
    x: Pixels
    y: Pixels


@dataclass(frozen=True)
class Benchmark:
    """A set of pictures, named after its folder."""

    name: str
    paths: tuple[Path, ...]

    def first(self, limit: int | None) -> Benchmark:
        """The set of the first `limit` pictures, or of all if None."""
        return Benchmark(self.name, self.paths[:limit])

    def check(self, scales: Iterable[int], smallest: Callable[[int], int]) -> None:
        """Raise what `pairs` would, or `DataError` for a picture that is too small to score.

        `smallest` gives the least height and width of a ground truth at a scale.
        """
        needed = max(-(-smallest(s) // s) * s for s in scales)
        for path in self.paths:
            height, width = read_rgb(path).shape[:2]
            if min(height, width) < needed:
                raise DataError(
                    f"{path} has {width}×{height} pixels, but scoring needs {needed} in both "
                    "directions; remove it from the set"
                )

    def pairs(self, scale: int) -> Iterator[Pair]:
        """Read one picture after the other and make its low-resolution input.

        The ground truth is cropped at the right and bottom to a multiple of `scale`. Raises
        `ImageError` for a file that is not a picture, and `DataError` for a picture of fewer
        than `scale` pixels.
        """
        for path in self.paths:
            y = read_rgb(path)
            height, width = (length // scale * scale for length in y.shape[:2])
            if not height or not width:
                raise DataError(
                    f"{path} has {y.shape[1]}×{y.shape[0]} pixels, too few for scale {scale}; "
                    f"remove it from the set or use a smaller scale"
                )
            y = y[:height, :width]
            yield Pair(path.stem, make_input(y, scale), y)


def open_benchmark(folder: Path) -> Benchmark:
    """The pictures directly in `folder`, sorted by name. Other files and folders are ignored."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give a folder of pictures")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    paths = tuple(path for path in entries if is_picture(path) and path.is_file())
    if not paths:
        inner = [path.name for path in entries if path.is_dir()]
        remedy = f"give one of its folders ({', '.join(inner[:4])})" if inner else "add some"
        raise DataError(f"{folder} contains no pictures; {remedy}")
    return Benchmark(folder.resolve().name, paths)

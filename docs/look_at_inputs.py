"""Measure how well a look at the pixels tells whether a picture went through JPEG.

python docs/look_at_inputs.py FOLDER [LIMIT]

Each picture of FOLDER is halved by bicubic, which removes the blocks of its own file, then cut to
squares and degraded. Prints the share in which `has_blocks` finds blocks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prosr.data.degradations import NAMED, degraded, jpeg
from prosr.images.compression import SEEN, has_blocks
from prosr.images.formats import is_picture
from prosr.images.reading import read_rgb
from prosr.resample import make_input, to_uint8

SIDES = 64, 128, 256
Pixels = NDArray[np.uint8]


def halved(path: Path) -> Pixels:
    pixels = read_rgb(path)[: 2 * SEEN, : 2 * SEEN]
    height, width = (length // 2 * 2 for length in pixels.shape[:2])
    return make_input(np.ascontiguousarray(pixels[:height, :width]), 2)


def at_any_grid(quality: int) -> Callable[[Pixels], Pixels]:
    def apply(x: Pixels) -> Pixels:
        top, left = np.random.default_rng(int(x.sum())).integers(0, 16, 2)
        return to_uint8(jpeg(x.astype(np.float64), quality, 2, (int(top), int(left))))

    return apply


def named(name: str) -> Callable[[Pixels], Pixels]:
    return lambda x: degraded(x, name)


def squares(pictures: list[Pixels], side: int) -> list[Pixels]:
    """A square at a random place of each picture, or the whole picture if it is smaller."""
    rng, parts = np.random.default_rng(0), []
    for x in pictures:
        top, left = (int(rng.integers(max(length - side, 0) + 1)) for length in x.shape[:2])
        parts.append(np.ascontiguousarray(x[top : top + side, left : left + side]))
    return parts


if __name__ == "__main__":
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*") if is_picture(path))
    inputs = [halved(path) for path in paths[:: max(len(paths) // limit, 1)]]
    cases = {f"JPEG {quality}": at_any_grid(quality) for quality in (95, 90, 85, 75, 50)}
    cases |= {name: named(name) for name in NAMED if name in ("none", "real-1", "real-2", "real-3")}
    print(f"{len(inputs)} pictures")
    print("side", *cases, sep=" | ")
    for side in (*SIDES, SEEN):
        parts = squares(inputs, side)
        shares = [np.mean([has_blocks(apply(x)) for x in parts]) for apply in cases.values()]
        print(side, *(f"{share:.2f}" for share in shares), sep=" | ")

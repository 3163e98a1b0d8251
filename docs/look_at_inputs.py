"""Measure how well a look at a picture tells whether it went through JPEG.

python docs/look_at_inputs.py FOLDER [LIMIT]

Each picture of FOLDER is halved by bicubic, which removes the blocks of its own file, and degraded.
Prints for each degradation the share of pictures whose blockiness is above some thresholds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prosr.data.degradations import LUMA, NAMED, degraded, jpeg
from prosr.images.formats import is_picture
from prosr.images.reading import read_rgb
from prosr.resample import make_input, to_uint8

MOST = 900
"""Largest side of the part of a picture that is looked at."""
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
STEP = 32
"""Steps of luminance from here on are edges of the picture, not of blocks."""
STANDARD_MEAN = 57.625
"""Mean of libjpeg's luminance table at quality 50."""
Pixels = NDArray[np.uint8]


def blockiness(pixels: Pixels) -> float:
    """How much larger the steps are every eighth pixel, in levels, rows or columns, the lesser.

    A step counts as far as it exceeds those beside it. The grid may begin anywhere.
    """
    luma, excess = pixels @ LUMA, []
    for lines in (luma, luma.T):
        steps = np.abs(np.diff(lines, axis=1))
        inner = steps[:, 1:-1]
        more = np.where(inner < STEP, inner - (steps[:, :-2] + steps[:, 2:]) / 2, 0).mean(axis=0)
        by_place = np.sort(more[: len(more) // 8 * 8].reshape(-1, 8).mean(axis=0))
        excess.append(float(by_place[-1] - by_place[:-1].mean()))
    return min(excess)


def jpeg_quality(file: bytes) -> float | None:
    """The quality that a JPEG file's luminance table has on libjpeg's scale; None if not JPEG."""
    place = 2
    while file[:2] == b"\xff\xd8" and file[place : place + 1] == b"\xff":
        marker, length = file[place + 1], int.from_bytes(file[place + 2 : place + 4])
        if marker == 0xDB:
            wide = file[place + 4] >> 4
            table = np.frombuffer(file, ">u2" if wide else "u1", 64, place + 5)
            percent = 100 * float(table.mean()) / STANDARD_MEAN
            return 100 - percent / 2 if percent <= 100 else 5000 / percent
        place += 2 + length
    return None


def halved(path: Path) -> Pixels:
    pixels = read_rgb(path)[:MOST, :MOST]
    height, width = (length // 2 * 2 for length in pixels.shape[:2])
    return make_input(np.ascontiguousarray(pixels[:height, :width]), 2)


def at_any_grid(quality: int) -> Callable[[Pixels], Pixels]:
    def apply(x: Pixels) -> Pixels:
        top, left = np.random.default_rng(int(x.sum())).integers(0, 16, 2)
        return to_uint8(jpeg(x.astype(np.float64), quality, 2, (int(top), int(left))))

    return apply


def named(name: str) -> Callable[[Pixels], Pixels]:
    return lambda x: degraded(x, name)


if __name__ == "__main__":
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*") if is_picture(path))
    inputs = [halved(path) for path in paths[:: max(len(paths) // limit, 1)]]
    cases = {name: named(name) for name in NAMED if not name.startswith("jpeg")}
    cases |= {f"JPEG {quality}": at_any_grid(quality) for quality in (95, 90, 85, 80, 75, 60, 50)}
    print(f"{len(inputs)} pictures; share with a blockiness above", *THRESHOLDS)
    for name, apply in cases.items():
        found = np.array([blockiness(apply(x)) for x in inputs])
        shares = [f"{np.mean(found > threshold):.2f}" for threshold in THRESHOLDS]
        print(f"{name:10}", *shares, f"median {np.median(found):.2f}")

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

from prosr.data.degradations import NAMED, degraded, jpeg
from prosr.images.compression import blockiness
from prosr.images.formats import is_picture
from prosr.images.reading import read_rgb
from prosr.images.samples import LUMA
from prosr.resample import make_input, to_uint8

MOST = 900
"""Largest side of the part of a picture that is looked at."""
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
Pixels = NDArray[np.uint8]


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
        found = np.array([blockiness(apply(x) @ LUMA) for x in inputs])
        shares = [f"{np.mean(found > threshold):.2f}" for threshold in THRESHOLDS]
        print(f"{name:10}", *shares, f"median {np.median(found):.2f}")

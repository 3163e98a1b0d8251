"""Draw README.md's picture, and the sample that `make demo` enlarges.

    python docs/make_figure.py [FOLDER]

The photographs come with scikit-image. Each is reduced like a benchmark's truth, enlarged
whole by bicubic and by the bundled network, and shown where there is something to see.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import prosr
from prosr.resample import make_input

Pixels = NDArray[np.uint8]

SCALE = 4
MODEL = "prosr-xs"
SIDE = 112
"""Side of a crop, in pixels of the truth."""
ZOOM = 2
"""Each pixel of a crop is shown as ZOOM×ZOOM."""
GAP, LABEL = 6, 26


@dataclass(frozen=True)
class Crop:
    """A square of a photograph; `top` and `left` are multiples of SCALE."""

    photograph: str
    top: int
    left: int


CROPS = (Crop("astronaut", 72, 168), Crop("chelsea", 60, 116), Crop("coffee", 212, 316))


def sample() -> Pixels:
    """The photograph of `make demo`, [256, 256, 3]."""
    return make_input(_photograph("astronaut"), 2)


def figure(crops: tuple[Crop, ...] = CROPS) -> Pixels:
    """One row for each crop: the input, bicubic, the network, the original."""
    rows = [_labels(("input", "bicubic", MODEL, "original"))]
    rows += [_side_by_side(_panels(crop)) for crop in crops]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)][:-1])


def _panels(crop: Crop) -> list[Pixels]:
    photograph = _photograph(crop.photograph)
    height, width = (length // SCALE * SCALE for length in photograph.shape[:2])
    y = photograph[:height, :width]
    x = make_input(y, SCALE)
    estimates = [prosr.load(name).upscale(x, scale=SCALE) for name in ("bicubic", MODEL)]
    panels = (_repeat(x, SCALE), *estimates, y)
    part = slice(crop.top, crop.top + SIDE), slice(crop.left, crop.left + SIDE)
    return [_repeat(panel[part], ZOOM) for panel in panels]


def _photograph(name: str) -> Pixels:
    pixels: Pixels = getattr(data, name)()
    return pixels


def _repeat(pixels: Pixels, times: int) -> Pixels:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _side_by_side(panels: list[Pixels]) -> Pixels:
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def _labels(texts: tuple[str, ...]) -> Pixels:
    """A white strip with a text centred above each column."""
    column = SIDE * ZOOM
    strip = Image.new("RGB", (len(texts) * (column + GAP) - GAP, LABEL), "white")
    font = ImageFont.load_default(16)
    for i, text in enumerate(texts):
        centre = (i * (column + GAP) + column // 2, LABEL // 2)
        ImageDraw.Draw(strip).text(centre, text, fill="black", font=font, anchor="mm")
    return np.asarray(strip)


def main(folder: Path) -> None:
    """Write sample.png and enlarged.png into `folder`."""
    Image.fromarray(sample()).save(folder / "sample.png", optimize=True)
    Image.fromarray(figure()).save(folder / "enlarged.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

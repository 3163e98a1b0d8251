"""Draw the documents' pictures, and the sample that `make demo` enlarges.

    python docs/make_figure.py [FOLDER]

For the figures, photographs of scikit-image are reduced like a benchmark's ground truth, enlarged
by bicubic and by bundled networks, and cropped. For the pair of README.md, a JPEG file is enlarged
as it is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from sklearn.datasets import load_sample_image

import prosr
from prosr.resample import make_input

Pixels = NDArray[np.uint8]

SIDE = 112
"""Side of a crop, in pixels of the truth."""
ZOOM = 2
"""Each pixel of a crop is shown as ZOOM×ZOOM."""
GAP, LABEL = 6, 26
PAIR, PAIR_SCALE = "prosr-xs-real", 4
"""The network of README.md's pair."""


@dataclass(frozen=True)
class Crop:
    """A square of a photograph; `top` and `left` are multiples of 8."""

    photograph: str
    top: int
    left: int


@dataclass(frozen=True)
class Figure:
    """A row for each crop, a column for each model, between the input and the original.

    A number after a model's name is its strength.
    """

    scale: int
    models: tuple[str, ...]
    crops: tuple[Crop, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return ("input", *self.models, "original")


CROPS = (Crop("astronaut", 72, 168), Crop("chelsea", 56, 112), Crop("coffee", 216, 320))
GAN = ("bicubic", "prosr-xs", "progansr-xs 0.7", "progansr-xs")
FIGURES = {
    "enlarged.png": Figure(4, ("bicubic", "prosr-xs"), CROPS),
    "gan-x4.png": Figure(4, GAN, (*CROPS, Crop("rocket", 200, 280))),
    "gan-x8.png": Figure(8, GAN, (*CROPS, Crop("rocket", 200, 280))),
}


def sample() -> Pixels:
    """The photograph of `make demo`, [256, 256, 3]."""
    return make_input(open_photograph("astronaut"), 2)


def draw(figure: Figure) -> Pixels:
    """The figure, its columns named above."""
    rows = [labels(figure.columns)]
    rows += [side_by_side(_panels(figure, crop)) for crop in figure.crops]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)][:-1])


def pair() -> Pixels:
    """Part of a JPEG photograph of a dahlia, as viewers enlarge it and as PAIR does.

    The file, 640×427 pixels, comes with scikit-learn: by vultilion, CC BY 2.0.
    """
    y, x, side = 190, 255, 105
    photograph = load_sample_image("flower.jpg")
    parts = [slice(PAIR_SCALE * start, PAIR_SCALE * (start + side)) for start in (y, x)]
    panels = [_load(name).upscale(photograph, scale=PAIR_SCALE) for name in ("bicubic", PAIR)]
    head = labels(("before (bicubic)", f"after ({PAIR})"), PAIR_SCALE * side)
    return np.concatenate([head, side_by_side([panel[*parts] for panel in panels])])


def _panels(figure: Figure, crop: Crop) -> list[Pixels]:
    scale, photograph = figure.scale, open_photograph(crop.photograph)
    height, width = (length // scale * scale for length in photograph.shape[:2])
    y = photograph[:height, :width]
    x = make_input(y, scale)
    estimates = [_load(model).upscale(x, scale=scale) for model in figure.models]
    panels = (repeat(x, scale), *estimates, y)
    part = slice(crop.top, crop.top + SIDE), slice(crop.left, crop.left + SIDE)
    return [repeat(panel[part], ZOOM) for panel in panels]


def open_photograph(name: str) -> Pixels:
    pixels: Pixels = getattr(data, name)()
    return pixels


def repeat(pixels: Pixels, times: int) -> Pixels:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _load(model: str) -> prosr.Upscaler:
    name, _, strength = model.partition(" ")
    return prosr.load(name, strength=float(strength or 1))


def side_by_side(panels: list[Pixels]) -> Pixels:
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def labels(texts: tuple[str, ...], column: int = SIDE * ZOOM) -> Pixels:
    """A white strip with a text centred above each column."""
    strip = Image.new("RGB", (len(texts) * (column + GAP) - GAP, LABEL), "white")
    font = ImageFont.load_default(16)
    for i, text in enumerate(texts):
        centre = (i * (column + GAP) + column // 2, LABEL // 2)
        ImageDraw.Draw(strip).text(centre, text, fill="black", font=font, anchor="mm")
    return np.asarray(strip)


def main(folder: Path) -> None:
    """Write the sample and the figures into `folder`."""
    Image.fromarray(sample()).save(folder / "sample.png", optimize=True)
    Image.fromarray(pair()).save(folder / "before-after.jpg", quality=92)
    for name, figure in FIGURES.items():
        Image.fromarray(draw(figure)).save(folder / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

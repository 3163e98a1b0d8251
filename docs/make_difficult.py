"""Make ten difficult pictures, such as users have, and show what networks make of them.

python docs/make_difficult.py FOLDER [MODEL...]

Writes the pictures to FOLDER. With models, also writes FOLDER/difficult-1.webp and -2: for each
picture a row with the bicubic and then each model's result at 4 times, of its middle. Photographs
come with scikit-image, in the public domain or CC0: astronaut (NASA), rocket (SpaceX), chelsea
(Stefan van der Walt), coffee (Rachel Michetti), coins (Brooklyn Museum), grass (linolafett), gravel
(CC0Textures), and scikit-image's own page. The rest is drawn here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import prosr
from prosr.data.degradations import add_noise, blur, gaussian_kernel, resize, sharpen
from prosr.resample import to_uint8

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
SIDE, SCALE, SHOWN = 128, 4, 96
Picture = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def part(name: str, top: int, left: int, side: int) -> Picture:
    """A square of a photograph, reduced to SIDE pixels."""
    pixels = np.asarray(getattr(data, name)(), np.float64)
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return resize(rgb[top : top + side, left : left + side, :3], (SIDE, SIDE), "cubic")


def noisy(picture: Picture, normal: float, poisson: float, gray: bool) -> Picture:
    return add_noise(picture, normal, poisson, gray, np.random.default_rng(0))


def face() -> Picture:
    return sharpen(part("astronaut", 0, 100, 256), 1.0, 0.5)


def cat() -> Picture:
    return part("chelsea", 20, 110, 256)


def cup() -> Picture:
    return part("coffee", 60, 180, 300)


def night() -> Picture:
    """A rocket's start at dusk, taken with too little light."""
    return noisy(0.45 * part("rocket", 120, 200, 256), 4.0, 1.0, False)


def scan() -> Picture:
    """An old photograph of coins: soft, faded and grainy."""
    faded = 45 + 0.7 * part("coins", 10, 20, 256)
    soft = blur(faded, gaussian_kernel(7, (0.8, 0.8)))
    return noisy(soft, 6.0, 0.0, True) * (1.0, 0.93, 0.8)


def page() -> Picture:
    """A printed page under uneven light."""
    return noisy(part("page", 0, 0, 190), 2.0, 0.0, True)


def grass() -> Picture:
    green = part("grass", 100, 100, 256) * (0.75, 1.0, 0.45)
    return sharpen(green, 0.8, 0.8)


def gravel() -> Picture:
    return part("gravel", 100, 100, 320) * (1.0, 0.95, 0.85)


def screenshot() -> Picture:
    """A window with small text, a button and a chart."""
    picture = Image.new("RGB", (SIDE, SIDE), "#f4f4f6")
    pen = ImageDraw.Draw(picture)
    small, large = (ImageFont.truetype(FONT, size) for size in (9, 12))
    pen.rectangle((0, 0, SIDE, 16), "#3b5998")
    pen.text((4, 1), "Report 2026", "white", font=large)
    for line, text in enumerate(
        ("Sales rose by 4.7 %", "in the third quarter,", "most in Lisbon.")
    ):
        pen.text((5, 21 + 12 * line), text, "#202020", font=small)
    for index, height in enumerate((14, 22, 18, 31, 38)):
        colour = ("#d9534f", "#5bc0de")[index % 2]
        pen.rectangle((8 + 14 * index, 104 - height, 17 + 14 * index, 104), colour)
    pen.line((4, 104, 82, 104), "#606060")
    pen.rounded_rectangle((88, 84, 124, 100), 4, "#2e8b57")
    pen.text((95, 86), "Send", "white", font=small)
    pen.text((5, 110), "https://example.org/q3", "#1a0dab", font=small)
    return np.asarray(picture, np.float64)


def anime() -> Picture:
    """A drawn head: flat colours, dark outlines, large eyes."""
    fine = 4
    picture = Image.new("RGB", (SIDE * fine, SIDE * fine), "#9ad0f5")
    pen = ImageDraw.Draw(picture)

    def oval(x: int, y: int, rx: int, ry: int, fill: str, line: int = 0) -> None:
        box = tuple(fine * v for v in (x - rx, y - ry, x + rx, y + ry))
        pen.ellipse(box, fill, "#2a1a2e", fine * line)

    oval(64, 58, 50, 52, "#5b3a8c", 2)
    oval(64, 68, 38, 44, "#ffe0cc", 2)
    for tip in (34, 50, 66, 82, 96):
        points = [(tip - 14, 20), (tip + 14, 20), (tip, 60)]
        pen.polygon([(fine * a, fine * b) for a, b in points], "#6f4aa8", "#2a1a2e", fine)
    for x in (48, 80):
        oval(x, 74, 9, 12, "white", 2)
        oval(x, 76, 6, 9, "#2f7d5b", 1)
        oval(x, 77, 3, 5, "#102018")
        oval(x - 2, 72, 2, 2, "white")
    pen.line([fine * v for v in (56, 101, 72, 101)], "#a04050", 2 * fine)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)


# Each picture with its quality as JPEG.
PICTURES: dict[Callable[[], Picture], int] = {
    face: 80, cat: 50, cup: 70, night: 85, scan: 75,
    page: 60, grass: 90, gravel: 75, screenshot: 75, anime: 60,
}  # fmt: skip


def save(folder: Path) -> list[Path]:
    """Write the pictures as JPEG files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (make, quality) in enumerate(PICTURES.items(), 1):
        paths.append(folder / f"{number:02}-{make.__name__}.jpg")
        Image.fromarray(to_uint8(make())).save(paths[-1], quality=quality)
    return paths


def compare(paths: list[Path], models: list[str], folder: Path) -> None:
    """Draw a row for each picture: bicubic, then each model. Five rows make a sheet."""
    networks = [prosr.load(name) for name in ("bicubic", *models)]
    rows, cut = [], SCALE * (SIDE - SHOWN) // 2
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        enlarged = [net.upscale(pixels, SCALE)[cut:-cut, cut:-cut] for net in networks]
        rows.append(np.hstack(enlarged))
    for number in (1, 2):
        sheet = Image.fromarray(np.vstack(rows[5 * number - 5 : 5 * number]))
        sheet.save(folder / f"difficult-{number}.webp", quality=88, method=6)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    files = save(where)
    if names := sys.argv[2:]:
        compare(files, names, where)

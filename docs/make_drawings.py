"""Draw pictures to train on beside photographs: text, charts and outlined shapes.

python docs/make_drawings.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

COUNT, SIDE, FINER = 100, 480, 2
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
Rng = np.random.Generator
Colour = tuple[int, int, int]


def draw(seed: int) -> Image.Image:
    """A picture of SIDE pixels, drawn finer and reduced, so that edges are smooth."""
    rng = np.random.default_rng(seed)
    kind = (write, write, shape, shape, chart)[seed % 5]
    side = SIDE * FINER
    picture = Image.new("RGB", (side, side), ground(rng))
    kind(picture, rng)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def write(picture: Image.Image, rng: Rng) -> None:
    """Lines of made-up words in one or two sizes and faces, some in boxes."""
    pen = ImageDraw.Draw(picture)
    side, top = picture.width, int(rng.integers(5, 40))
    ink = contrast(rng, paper(picture))
    while top < side:
        size = FINER * int(rng.choice([9, 10, 11, 12, 14, 16, 20, 26, 36, 60]))
        font = ImageFont.truetype(FONTS / f"{rng.choice(FACES)}.ttf", size)
        if rng.random() < 0.2:
            ink = contrast(rng, paper(picture))
        for _ in range(int(rng.integers(1, 6))):
            line = " ".join(word(rng) for _ in range(14))
            left = int(rng.integers(0, 60))
            if rng.random() < 0.1:
                box = colour(rng)
                pen.rectangle((0, top, side, top + int(1.3 * size)), fill=box)
                pen.text((left, top), line, contrast(rng, box), font=font)
            else:
                pen.text((left, top), line, ink, font=font)
            top += int(rng.uniform(1.15, 1.6) * size)
        top += int(rng.integers(0, 60))
        if rng.random() < 0.3:
            pen.line((0, top, side, top), ink, int(rng.integers(1, 8)))


def shape(picture: Image.Image, rng: Rng) -> None:
    """Outlined blobs in flat colours, hatched, dotted or shaded, as in comics."""
    side = picture.width
    for _ in range(int(rng.integers(20, 60))):
        centre, size = rng.uniform(0, side, 2), rng.uniform(0.03, 0.3) * side
        outline = blob(rng, centre, size)
        layer = Image.new("RGB", picture.size, colour(rng))
        fill(layer, rng)
        mask = Image.new("L", picture.size)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        picture.paste(layer, (0, 0), mask)
        width = FINER * int(rng.choice([0, 1, 1, 2, 2, 3, 4]))
        if width:
            ink = (0, 0, 0) if rng.random() < 0.8 else colour(rng)
            ImageDraw.Draw(picture).line([*outline, outline[0]], ink, width, joint="curve")


def chart(picture: Image.Image, rng: Rng) -> None:
    """Curves, bars and a grid with labels."""
    pen = ImageDraw.Draw(picture)
    side, ink = picture.width, contrast(rng, paper(picture))
    step = int(rng.integers(30, 120))
    faint = colour(rng)
    for at in range(0, side, step):
        pen.line((0, at, side, at), faint, FINER)
        pen.line((at, 0, at, side), faint, FINER)
    font = ImageFont.truetype(FONTS / "DejaVuSans.ttf", FINER * int(rng.integers(9, 16)))
    for at in range(0, side, step):
        pen.text((at, int(rng.integers(side))), str(rng.integers(1000)), ink, font=font)
    for _ in range(int(rng.integers(2, 8))):
        if rng.random() < 0.4:
            tone, width = colour(rng), int(rng.integers(8, step))
            for at in range(0, side, step):
                pen.rectangle((at, int(rng.integers(side)), at + width, side), tone, ink)
        else:
            x = np.linspace(0, side, 200)
            y = side * (0.5 + 0.4 * np.sin(x / rng.uniform(40, 300) + rng.uniform(0, 6)))
            y = y + np.cumsum(rng.normal(0, rng.uniform(0, 12), 200))
            line = list(zip(x.tolist(), y.tolist(), strict=True))
            pen.line(line, colour(rng), FINER * int(rng.integers(1, 5)), joint="curve")


def fill(layer: Image.Image, rng: Rng) -> None:
    """Lines, dots, a ramp or nothing over a flat colour."""
    kind, side, pen = rng.integers(5), layer.width, ImageDraw.Draw(layer)
    tone, gap = colour(rng), int(rng.integers(8, 40))
    if kind == 1:
        slope = rng.uniform(-1, 1)
        for at in range(-side, 2 * side, gap):
            pen.line((at, 0, at + slope * side, side), tone, FINER * int(rng.integers(1, 3)))
    if kind == 2:
        r = rng.uniform(0.15, 0.45) * gap
        for i, y in enumerate(range(0, side, gap)):
            for x in range((i % 2) * gap // 2, side, gap):
                pen.ellipse((x - r, y - r, x + r, y + r), tone)
    if kind == 3:
        ramp = Image.linear_gradient("L").resize(layer.size).rotate(float(rng.uniform(0, 360)))
        layer.paste(Image.new("RGB", layer.size, tone), (0, 0), ramp)


def blob(rng: Rng, centre: np.ndarray, size: float) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    if rng.random() < 0.3:
        corners = int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = np.full(len(angles), size)
    for k in range(1, 7):
        wave = rng.normal(0, 0.25 / k) * np.sin(k * angles + rng.uniform(0, 6))
        radius = radius * (1 + wave)
    stretch = rng.uniform(0.3, 1)
    x = centre[0] + radius * np.cos(angles)
    y = centre[1] + stretch * radius * np.sin(angles)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def word(rng: Rng) -> str:
    letters = "etaoinsrhldcumfpgwybvkxjqz"
    weights = 1 / np.arange(2, len(letters) + 2)
    drawn = rng.choice(list(letters), int(rng.integers(1, 10)), p=weights / weights.sum())
    text = "".join(drawn)
    if rng.random() < 0.15:
        return str(rng.integers(10_000))
    if rng.random() < 0.3:
        return text.capitalize()
    return text + ("", "", "", ",", ".")[int(rng.integers(5))]


def ground(rng: Rng) -> Colour:
    return (255, 255, 255) if rng.random() < 0.4 else colour(rng)


def paper(picture: Image.Image) -> Colour:
    r, g, b = np.asarray(picture.crop((0, 0, 1, 1)))[0, 0]
    return int(r), int(g), int(b)


def colour(rng: Rng) -> Colour:
    r, g, b = rng.integers(0, 256, 3)
    return int(r), int(g), int(b)


def contrast(rng: Rng, other: Colour) -> Colour:
    if rng.random() < 0.5:
        return (0, 0, 0) if sum(other) > 380 else (255, 255, 255)
    tones = [colour(rng) for _ in range(6)]
    return max(tones, key=lambda tone: sum(abs(a - b) for a, b in zip(tone, other, strict=True)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(COUNT):
        draw(seed).save(folder / f"{seed:04}.png")

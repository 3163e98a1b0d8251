"""What tests of batches share: small pictures of mixed kinds, and results compared."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image


def make_pictures(folder: Path, count: int, broken: int = 100) -> list[str]:
    """Write `count` pictures of 32 to 96 pixels a side; each `broken`-th is no picture.

    Returns their names below the folder.
    """
    random = np.random.default_rng(0)
    names = []
    for number in range(count):
        height, width = random.integers(32, 97, 2)
        pixels = random.integers(0, 256, (height, width, 4), np.uint8)
        suffix, mode = (
            (".jpg", "RGB"), (".png", "RGB"), (".png", "L"), (".webp", "RGB"), (".tif", "RGB"),
            (".png", "RGBA"),
        )[number % 6]  # fmt: skip
        path = folder / f"d{number % 7}" / f"p{number:05}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % broken == broken // 2:
            path.write_bytes(b"broken")
        else:
            Image.fromarray(pixels).convert(mode).save(path)
        names.append(path.relative_to(folder).as_posix())
    return names


def placeless(data: bytes) -> bytes:
    """A result without the place and dates of its source, which differ for copies of one file.

    Nor has a PNG the checksum of their chunk.
    """
    data = re.sub(rb"@[0-9a-f]{8}\.[0-9a-f]{8}", b"@" + bytes(17), data)
    place = data.find(b"eXIf")
    if data.startswith(b"\x89PNG") and place > 0:
        end = place + 4 + int.from_bytes(data[place - 4 : place], "big")
        data = data[:end] + bytes(4) + data[end + 4 :]
    return data

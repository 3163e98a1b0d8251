"""Lossy compression: traces of it in files and pixels, and what WebP does to pixels."""

from __future__ import annotations

import math
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.images.encoding import webp_pixels
from prosr.images.loading import open_file
from prosr.images.reading import Picture
from prosr.images.samples import LUMA

SEEN = 900
"""Largest side of the part of a picture that is looked at, in its middle."""

BLOCKS_FROM, SMALL_MORE = 0.08, 24
"""Blockiness from which pixels count as compressed by JPEG: 0.08, and 24 by the side, since chance
counts for more in small pictures."""

_EDGE = 32
"""Steps of luminance from here on are edges of the picture, not of blocks."""

_STANDARD_MEAN = 57.625
"""Mean of libjpeg's luminance table at quality 50."""


def lossy(path: Path) -> tuple[str, float]:
    """How the content of a file is compressed with loss, such as "JPEG", and its quality.

    The name is empty if nothing says so. The quality is NaN where the file does not state it.
    Raises OSError.
    """
    with open_file(path) as file:
        head = file.read(12)
        if head[:3] == b"\xff\xd8\xff":
            return "JPEG", jpeg_quality(file)
        if head[:4] == b"RIFF" and webp_pixels(file)[0] == b"VP8 ":
            return "WebP", math.nan
    # AVIF and HEIC can be lossless, but hardly ever are.
    heic = dict.fromkeys((b"hei", b"hev", b"mif", b"msf"), "HEIC")
    name = ({b"avi": "AVIF"} | heic).get(head[8:11], "") if head[4:8] == b"ftyp" else ""
    return name, math.nan


def jpeg_quality(file: FileIO) -> float:
    """The quality of a JPEG file's luminance table on libjpeg's scale; NaN without a table."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:
        length = int.from_bytes(head[2:], "big") - 2
        if head[1] == 0xDB:
            wide = file.read(1) > b"\x0f"
            table = np.frombuffer(file.read(64 * (1 + wide)), ">u2" if wide else "u1")
            return table_quality(table) if table.size == 64 else math.nan
        file.seek(length, 1)
    return math.nan


def table_quality(table: NDArray[Any]) -> float:
    """The quality on libjpeg's scale of a table of quantization for luminance."""
    percent = 100 * float(table.mean()) / _STANDARD_MEAN
    return 100 - percent / 2 if percent <= 100 else 5000 / percent


def has_blocks(picture: Path | NDArray[Any]) -> bool:
    """Whether the middle of a picture, a file or [H, W] or [H, W, C], has the blocks of JPEG.

    False for a file that cannot be read.
    """
    try:
        pixels = Picture(picture).middle(SEEN) if isinstance(picture, Path) else picture
    except ImageError:
        return False
    samples = pixels if pixels.ndim == 3 else pixels[..., None]
    top, left = (max(side - SEEN, 0) // 2 for side in samples.shape[:2])
    part = samples[top : top + SEEN, left : left + SEEN].astype(np.float64)
    full = 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    luma = part[..., :3] @ LUMA if samples.shape[2] > 2 else part[..., 0]
    threshold = BLOCKS_FROM + SMALL_MORE / math.sqrt(luma.size)
    return luma.size > 0 and blockiness(luma * (255 / full)) > threshold


def blockiness(luma: NDArray[np.float64]) -> float:
    """How much steps at block borders exceed all others, in levels; the lesser of both axes.

    A step is compared with its two neighbours; steps at edges are left out. Of the eight places
    that a grid of 8 pixels can have, the strongest is compared with the second strongest. 0 for
    pictures of less than 24 pixels.
    """
    excess = []
    for lines in (luma, luma.T):
        steps = np.abs(np.diff(lines, axis=1))
        inner = steps[:, 1:-1]
        if min(inner.shape) < 16:
            return 0.0
        before, after = steps[:, :-2], steps[:, 2:]
        smooth = np.maximum(np.maximum(before, after), inner) < _EDGE
        more = np.where(smooth, inner - (before + after) / 2, 0).mean(axis=0)
        by_place = np.sort(more[: len(more) // 8 * 8].reshape(-1, 8).mean(axis=0))
        excess.append(float(by_place[-1] - by_place[-2]))
    return min(excess)


def webp_again(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What a decoder returns for pixels, [H, W, 3], that were saved as lossy WebP."""
    file = pyvips.Image.new_from_array(pixels).webpsave_buffer(Q=quality)
    decoded: NDArray[np.uint8] = pyvips.Image.new_from_buffer(file, "").numpy()
    return decoded[..., :3]

"""Which network suits a picture, by a cheap look at it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from prosr.images.compression import has_blocks, lossy, table_quality
from prosr.images.formats import is_picture
from prosr.inference.inputs import plain_array
from prosr.inference.pil import is_pil, samples

CLEAN, ROBUST = "prosr-xs", "prosr-xs-real"
"""The networks for clean and for degraded pictures."""

CLEAN_FROM = 97
"""Quality of a JPEG from which it counts as clean, unless it has blocks."""

_LOSSY = {"AVIF": "AVIF", "HEIF": "HEIC", "WEBP": "WebP"}
"""Formats of PIL images that are hardly ever without loss."""


def choose(image: Any) -> tuple[str, str]:
    """The network for a picture or clip, and the reason: a path, a PIL image or an array.

    The format of a file and its table of quantization count first, then blocks in the pixels.
    Raises `ConfigError` for an array that is not a picture.
    """
    kind, quality, pixels = "", math.nan, image
    try:
        if isinstance(image, str | os.PathLike):
            pixels = path = Path(image)
            kind, quality = lossy(path)
            if not kind and not is_picture(path):
                return ROBUST, path.suffix.lower() or "no suffix"
        elif is_pil(image):
            if tables := getattr(image, "quantization", None):
                kind, quality = "JPEG", table_quality(np.array(tables[min(tables)]))
            else:
                kind = _LOSSY.get(image.format or "", "")
            pixels = samples(image, {str(key): value for key, value in image.info.items()})
    # `upscale` reports errors of the file. PIL's plugins raise undocumented exceptions.
    except Exception:
        return ROBUST, "not readable"
    named = f"{kind} {quality:.0f}" if quality > 0 else kind
    if kind and not quality >= CLEAN_FROM:
        return ROBUST, named
    if isinstance(image, np.ndarray):
        pixels = plain_array(image)
    blocks = isinstance(pixels, Path | np.ndarray) and has_blocks(pixels)
    return (ROBUST, "blocks of JPEG") if blocks else (CLEAN, named or "not compressed")


def network_for(model: str, path: Path | None = None) -> tuple[str, str]:
    """`model`, or what "auto" takes for the picture at `path`, and that choice in words.

    Without a picture "auto" is the network for degraded ones. Both have the same scales.
    """
    if model != "auto":
        return model, ""
    chosen, reason = choose(path) if path else (ROBUST, "")
    return chosen, f"{chosen} ({reason})"

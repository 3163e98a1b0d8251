"""`auto`: an upscaler that takes the network that suits each picture, by a cheap look at it."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prosr.images.compression import has_blocks, lossy, table_quality
from prosr.images.formats import is_picture
from prosr.inference.inputs import plain_array
from prosr.inference.pil import is_pil
from prosr.inference.upscaler import Progress, Upscaler, Work
from prosr.models import bundled_models
from prosr.sizes import Request

CLEAN, ROBUST = "prosr-xs", "prosr-xs-real"
"""The networks for clean and for degraded pictures."""

CLEAN_FROM = 97
"""Quality of a JPEG from which it counts as clean, unless it has blocks."""


@dataclass
class ChosenWork(Work):
    """The work of several networks, and how often each was chosen for which reason."""

    chosen: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{model} for {n} ({why})" for (model, why), n in self.chosen.most_common(6)]
        return "\n".join([*lines, super().__str__()])


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
                return ROBUST, "a clip"
        elif is_pil(image):
            if tables := getattr(image, "quantization", None):
                kind, quality = "JPEG", table_quality(np.array(tables[min(tables)]))
            pixels = np.asarray(image.convert("RGB"))
    # What is wrong with it, `upscale` says. PIL's plugins raise more than they document.
    except Exception:
        return ROBUST, "not readable"
    if kind and not quality >= CLEAN_FROM:
        return ROBUST, f"{kind} {quality:.0f}" if quality > 0 else kind
    if isinstance(image, np.ndarray):
        pixels = plain_array(image)
    blocks = isinstance(pixels, Path | np.ndarray) and has_blocks(pixels)
    return (ROBUST, "blocks of JPEG") if blocks else (CLEAN, "not compressed")


def open_auto(open_network: Callable[[str], Upscaler]) -> Upscaler:
    """An upscaler that chooses; the one for clean pictures if there is no other to choose."""
    two = {CLEAN, ROBUST} <= set(bundled_models())
    return Choosing(open_network) if two else open_network(CLEAN)


class Choosing(Upscaler):
    """An upscaler whose network suits each picture: `choose` says which, and why.

    `open_network` returns the upscaler of a network by its name. The one for degraded pictures is
    opened at once, the other when it is first needed. `work` counts the choices.
    """

    work: ChosenWork

    def __init__(self, open_network: Callable[[str], Upscaler]) -> None:
        first = open_network(ROBUST)
        # Scales, memory and work are those of the first.
        vars(self).update(vars(first), name="auto", sha256="")
        self._open, self._opened = open_network, {ROBUST: first}
        self.work = first.work = ChosenWork(self._engine)

    def suited(self, image: object) -> Upscaler:
        """The upscaler for a picture or clip."""
        model, reason = choose(image)
        self.work.chosen[model, reason] += 1
        if model not in self._opened:
            self._opened[model] = self._open(model)
            self._opened[model].work = self.work
        return self._opened[model]

    def upscale(
        self,
        image: Any,
        scale: Request | float | None = None,
        *,
        size: Request | tuple[int, int] | None = None,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Any:
        """As `Upscaler.upscale`, with the network that suits the image."""
        one: Any = self.suited(image)
        files = {"output": output, "overwrite": overwrite} if output or overwrite else {}
        return one.upscale(image, scale, size=size, progress=progress, note=note, **files)


def suited(upscaler: Upscaler, image: object) -> Upscaler:
    """The upscaler for an image: the given one, unless it chooses."""
    return upscaler.suited(image) if isinstance(upscaler, Choosing) else upscaler

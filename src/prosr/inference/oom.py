"""Retry in smaller tiles after out-of-memory."""

from __future__ import annotations

import logging
import math

from prosr.errors import ConfigError, InferenceError, is_out_of_memory
from prosr.inference.engine import Engine
from prosr.inference.ensemble import Ensemble
from prosr.inference.tiling import Block, fit, tiled

_LOG = logging.getLogger(__name__)


class RetryingEngine:
    """An engine that retries in smaller tiles after out-of-memory.

    It cuts a tile that does not fit into overlapping tiles, so that the result is the same. It cuts
    later tiles in the same way. Each halving is logged as a warning.
    """

    def __init__(self, engine: Engine | Ensemble) -> None:
        self._engine = engine
        self._pixels: dict[int, int] = {}

    def __call__(self, x: Block, scale: int) -> Block:
        """The engine's result; `InferenceError` if even the smallest tile does not fit."""
        area = x.shape[2] * x.shape[3]
        while True:
            pixels = min(area, self._pixels.get(scale, self._engine.pixels(scale)))
            y = self._try(x, scale, pixels)
            if y is not None:
                return y
            # Retry outside of the handler, whose traceback would keep the failed tile's arrays.
            self._pixels[scale] = pixels // 2
            _LOG.warning("out of memory: continuing in tiles of half the size")

    def _try(self, x: Block, scale: int, pixels: int) -> Block | None:
        """The result, or None if memory ran out."""
        size, halo = (x.shape[2], x.shape[3]), self._engine.radius(scale)
        try:
            tile = size if pixels == math.prod(size) else fit(size, pixels, halo)
        except ConfigError as error:
            raise InferenceError(
                f"out of memory even in tiles of {2 * pixels} pixels; close other programs, "
                "or choose a smaller model"
            ) from error
        try:
            if tile == size:
                return self._engine(x, scale)
            return tiled(self._engine, x, scale, tile, halo)
        # Each engine has exceptions of its own.
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None

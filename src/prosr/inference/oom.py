"""Going on where a device has less memory than was thought."""

from __future__ import annotations

import logging
import math

from torch import Tensor

from prosr.errors import ConfigError, InferenceError, is_out_of_memory
from prosr.inference.engines import Engine
from prosr.inference.tiling import fit, tiled

_LOG = logging.getLogger(__name__)


class Halving:
    """What an engine computes, in ever smaller parts once its device runs out of memory.

    A tile that does not fit is cut into tiles with halos of their own, so that its result is
    the same; those after it are cut likewise. Each halving is logged as a warning.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pixels: dict[int, int] = {}

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        """As the engine does it; `InferenceError` if even the smallest part does not fit."""
        area = x.shape[2] * x.shape[3]
        while True:
            pixels = min(area, self._pixels.get(scale, area))
            y = self._try(x, scale, pixels)
            if y is not None:
                return y
            # Outside of the handler, whose traceback would keep the failed tile's tensors.
            self._pixels[scale] = pixels // 2
            _LOG.warning("out of memory: going on in tiles of half the size")

    def _try(self, x: Tensor, scale: int, pixels: int) -> Tensor | None:
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
            return (
                self._engine(x, scale)
                if tile == size
                else tiled(self._engine, x, scale, tile, halo)
            )
        except (MemoryError, RuntimeError, InferenceError) as error:
            if not is_out_of_memory(error):
                raise
            return None

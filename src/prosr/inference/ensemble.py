"""The geometric self-ensemble: the mean over flips and quarter turns of the picture."""

from __future__ import annotations

import numpy as np

from prosr.inference.engine import Engine
from prosr.inference.tiling import Block

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))

_SHARE = 0.8
"""Fraction of the engine's largest tile, which leaves memory for the results to average."""


class Ensemble:
    """An engine that returns the mean of another engine's results for a tile's eight views.

    Each view is enlarged and transformed back. Views contain only the tile's own pixels, so tiled
    results still equal those of the whole picture.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.scales, self.max_memory = engine.name, engine.scales, engine.max_memory
        self.reserved, self.release = engine.reserved, engine.release

    @property
    def precision(self) -> str:
        return self._engine.precision

    def __call__(self, x: Block, scale: int) -> Block:
        upright = self._sum(x, scale)
        total = upright + self._sum(x.swapaxes(2, 3), scale).swapaxes(2, 3)
        return total / np.float32(2 * len(_FLIPS))

    def radius(self, scale: int) -> int:
        return self._engine.radius(scale)

    def pixels(self, scale: int) -> int:
        return int(_SHARE * self._engine.pixels(scale))

    def _sum(self, x: Block, scale: int) -> Block:
        views = [np.flip(self._engine(np.flip(x, flip), scale), flip) for flip in _FLIPS]
        total: Block = np.sum(views, axis=0)
        return total

"""The geometric self-ensemble: the mean over flips and quarter turns of the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from prosr.inference.engines import Engine

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))

_SHARE = 0.8
"""Of the engine's largest tile, so that there is room for the results to be averaged."""


class Ensemble:
    """An engine that gives the mean of what another makes of a tile's eight views.

    Each view is enlarged and turned back. Those of equal shape go to the engine as one
    batch. A view sees no further than the tile itself, so that tiled stays equal to whole.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name

    @property
    def precision(self) -> str:
        return self._engine.precision

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        upright = self._sum(x, scale)
        return (upright + self._sum(x.transpose(2, 3), scale).transpose(2, 3)) / (2 * len(_FLIPS))

    def radius(self, scale: int) -> int:
        return self._engine.radius(scale)

    def pixels(self, scale: int) -> int:
        return int(_SHARE * self._engine.pixels(scale))

    def at_once(self, area: int, scale: int) -> int:
        """Of a tile of so many pixels, those of all views that the engine computes together."""
        return area * max(1, min(len(_FLIPS), self._engine.pixels(scale) // area))

    def _sum(self, x: Tensor, scale: int) -> Tensor:
        views = self._engine(torch.cat([x.flip(flip) for flip in _FLIPS]), scale)
        back = [
            view.flip(flip) for view, flip in zip(torch.split(views, len(x)), _FLIPS, strict=True)
        ]
        return torch.stack(back).sum(0)

"""Bicubic enlargement as a network."""

from __future__ import annotations

from torch import Tensor

from prosr.nets.network import Network
from prosr.resample.tensors import upscale


class Bicubic(Network):
    """φ_s(x) alone, without parameters; x may have any number of channels."""

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        return upscale(x, scale)

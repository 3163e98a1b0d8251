"""Networks for one scale that upsample at their end, to compare with pyramids (4.1)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from prosr.layouts import DirectConfig
from prosr.nets.blocks import (
    DCU,
    MEAN_RGB,
    DenseLayer,
    NormalizedDenseLayer,
    SubPixelUpsampler,
    conv,
)
from prosr.nets.network import Network
from prosr.resample.tensors import upscale


class Direct(Network):
    """`D-D-D-D-S-S`: DCUs, then a sub-pixel upsampler for each doubling; ŷ = R(x) + φ_s(x)."""

    def __init__(self, layout: DirectConfig) -> None:
        super().__init__(layout)
        padding = layout.padding
        self.value_range = layout.value_range
        self.v = conv(3, layout.features, padding=padding)
        units, width = [], layout.features
        layer = NormalizedDenseLayer if layout.batch_norm else DenseLayer
        for i, count in enumerate(layout.dcus, 1):
            dense = width + count * layout.growth
            compressed = int(layout.dcu_compression * dense) if i < len(layout.dcus) else None
            units.append(DCU(layout, width, count, layout.growth, compressed, layer=layer))
            width = units[-1].channels
        self.dcus = nn.ModuleList(units)
        self.conv = conv(width, width, padding=padding)
        doublings = range(layout.scale.bit_length() - 1)
        self.upsamplers = nn.ModuleList(SubPixelUpsampler(width, width, padding) for _ in doublings)
        self.r = conv(width, 3, padding=padding)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        mean = x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)
        z = self.v((x - mean) * self.value_range)
        for dcu in self.dcus:
            z = dcu(z)
        z = self.conv(z)
        for upsampler in self.upsamplers:
            z = upsampler(z)
        return cast(Tensor, self.r(z) / self.value_range) + upscale(x, scale)

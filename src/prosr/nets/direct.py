"""Networks that enlarge at their end, for one scale: what pyramids are compared with (4.1)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from prosr.nets.blocks import (
    DCU,
    MEAN_RGB,
    Conv3x3,
    DenseLayer,
    NormalizedDenseLayer,
    Padding,
    SubPixelUpsampler,
    count_parameters,
    levels_below,
    multiply_adds,
)
from prosr.resample import PHI_RADIUS
from prosr.resample.tensors import upscale


class Direct(nn.Module):
    """`D-D-D-D-S-S`: DCUs, then a sub-pixel upsampler for each doubling; ŷ = R(x) + φ_s(x).

    The arguments are those of `prosr.layouts.DirectConfig`, where they are explained.
    """

    def __init__(
        self,
        *,
        scale: int,
        features: int,
        growth: int,
        dcus: tuple[int, ...],
        bottleneck: int = 4,
        batch_norm: bool = False,
        dcu_compression: float = 0.4,
        padding: Padding = "reflect",
        value_range: float = 255.0,
    ) -> None:
        super().__init__()
        self.scales = (scale,)
        self.value_range = value_range
        self.v = Conv3x3(3, features, padding)
        units, width = [], features
        layer = NormalizedDenseLayer if batch_norm else DenseLayer
        for i, count in enumerate(dcus):
            dense = width + count * growth
            compressed = int(dcu_compression * dense) if i + 1 < len(dcus) else None
            unit = DCU(width, count, growth, bottleneck * growth, compressed, padding, layer=layer)
            units.append(unit)
            width = unit.channels
        self.dcus = nn.ModuleList(units)
        self.conv = Conv3x3(width, width, padding)
        doublings = range(scale.bit_length() - 1)
        self.upsamplers = nn.ModuleList(SubPixelUpsampler(width, width, padding) for _ in doublings)
        self.r = Conv3x3(width, 3, padding)

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, 3, H, W] RGB in [0, 1], to ŷ, [N, 3, sH, sW], not clipped.

        Raises `ConfigError` for another scale than its own, or an alpha that is not 1.
        """
        levels_below(self.scales, scale, alpha)
        mean = x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)
        z = self.v((x - mean) * self.value_range)
        for dcu in self.dcus:
            z = dcu(z)
        z = self.conv(z)
        for upsampler in self.upsamplers:
            z = upsampler(z)
        return cast(Tensor, self.r(z) / self.value_range) + upscale(x, scale)

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        levels_below(self.scales, scale)
        radius = 1
        for _ in self.upsamplers:
            radius = -(-radius // 2) + 1
        layers = sum(len(cast(DCU, dcu).layers) for dcu in self.dcus)
        return max(radius + 1 + layers + 1, PHI_RADIUS)

    def multiply_adds(self, scale: int) -> int:
        """Multiply-adds per input pixel, without φ_s."""
        levels_below(self.scales, scale)
        upsamplers = [(upsampler, 4**i) for i, upsampler in enumerate(self.upsamplers)]
        whole = ((part, 1) for part in (self.v, self.dcus, self.conv))
        return multiply_adds([*whole, *upsamplers, (self.r, scale**2)])

    def parameter_count(self, scale: int) -> int:
        """Parameters that training up to `scale` trains: all of them."""
        levels_below(self.scales, scale)
        return count_parameters([self])

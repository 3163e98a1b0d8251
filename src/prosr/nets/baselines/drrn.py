"""DRRN: Tai et al., Image super-resolution via deep recursive residual network (CVPR 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import DRRNConfig
from prosr.nets.blocks import conv, draw_he
from prosr.nets.network import Network
from prosr.resample.tensors import upscale


class PreActivated(nn.Module):
    """BN → ReLU before a convolution that may be shared.

    Each use of a shared kernel has its own statistics, since its input has another distribution in
    each recursion.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features)

    def forward(self, z: Tensor, kernel: nn.Conv2d) -> Tensor:
        activated: Tensor = kernel(F.relu(self.norm(z)))
        return activated


class RecursiveBlock(nn.Module):
    """H⁰ = f(x); Hᵘ = F(Hᵘ⁻¹, W) + H⁰ with the same two kernels W in all `units`."""

    def __init__(self, channels_in: int, features: int, units: int, first: bool) -> None:
        super().__init__()
        self.entry = conv(channels_in, features, bias=False)
        # The first block's input is a picture: ReLU would remove values darker than the mean.
        self.enter = None if first else PreActivated(channels_in)
        self.kernel_1 = conv(features, features, bias=False)
        self.kernel_2 = conv(features, features, bias=False)
        self.places = nn.ModuleList(PreActivated(features) for _ in range(2 * units))

    def forward(self, x: Tensor) -> Tensor:
        source: Tensor = self.entry(x) if self.enter is None else self.enter(x, self.entry)
        z = source
        for place_1, place_2 in zip(self.places[::2], self.places[1::2], strict=True):
            z = place_2(place_1(z, self.kernel_1), self.kernel_2) + source
        return z


class DRRN(Network):
    """ŷ = φ_s(x) + r of enlarged luminance, one network for all scales.

    B blocks of U units have (1 + 2U)·B + 1 layers: 52 for B1U25, with 297 k kernel weights.
    """

    def __init__(self, layout: DRRNConfig) -> None:
        super().__init__(layout)
        features = layout.features
        self.blocks = nn.ModuleList(
            RecursiveBlock(features if i else 1, features, layout.units, first=i == 0)
            for i in range(layout.blocks)
        )
        self.leave = PreActivated(features)
        self.last = conv(features, 1, bias=False)
        draw_he(self)
        # Its input is normalized, so He's initialization would give a residual as strong as
        # the picture. A short training does not unlearn that.
        nn.init.zeros_(self.last.weight)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        interpolated = upscale(x, scale)
        z = interpolated
        for block in self.blocks:
            z = block(z)
        residual: Tensor = self.leave(z, self.last)
        return interpolated + residual

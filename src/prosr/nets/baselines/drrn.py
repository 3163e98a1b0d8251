"""DRRN: Tai et al., Image super-resolution via deep recursive residual network (CVPR 2017)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import AllScales, BaselineConfig, Count
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.nets.blocks import draw_he
from prosr.resample import PHI_RADIUS
from prosr.resample.tensors import upscale


class PreActivated(nn.Module):
    """BN → ReLU before a convolution that may be shared with other places.

    The statistics are this place's own: each recursion gives the shared kernel features
    of another distribution.
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
        # A picture is no feature: ReLU would take away whatever is darker than the mean.
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


class DRRNConfig(AllScales, BaselineConfig):
    kind: Literal["drrn"] = "drrn"
    blocks: Count = 1
    units: Count = 25
    features: Count = 128


class DRRN(Baseline):
    """ŷ = φ_s(x) + r of enlarged luminance, one net for all scales: B `blocks` of U `units`.

    B1U25 has 52 layers, (1 + 2U)·B + 1, and 297 k weights in their kernels.
    """

    channels = 1
    scales = (2, 4, 8)
    layout = DRRNConfig
    presets: ClassVar[Presets] = {"drrn": DRRNConfig()}  # 310,272 parameters

    def __init__(self, *, blocks: int, units: int, features: int) -> None:
        super().__init__()
        self.units = units
        self.blocks = nn.ModuleList(
            RecursiveBlock(features if i else 1, features, units, first=i == 0)
            for i in range(blocks)
        )
        self.leave = PreActivated(features)
        self.last = conv(features, 1, bias=False)
        draw_he(self)
        # Of normalized features it would give a residual as strong as the picture, which
        # takes longer to unlearn than a short training lasts.
        nn.init.zeros_(self.last.weight)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        interpolated = upscale(x, scale)
        z = interpolated
        for block in self.blocks:
            z = block(z)
        residual: Tensor = self.leave(z, self.last)
        return interpolated + residual

    def steps(self, scale: int) -> list[Step]:
        return [(scale, PHI_RADIUS), (1, (1 + 2 * self.units) * len(self.blocks) + 1)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        pixels = scale**2
        counted: list[tuple[int, nn.Module]] = [(pixels, self.last)]
        for block in self.blocks:
            assert isinstance(block, RecursiveBlock)
            counted.append((pixels, block.entry))
            counted += [(self.units * pixels, k) for k in (block.kernel_1, block.kernel_2)]
        return counted

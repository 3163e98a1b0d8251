"""EnhanceNet: Sajjadi et al., Super-resolution through automated texture synthesis (ICCV 2017)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import BaselineConfig, Count, OneScale
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.resample.tensors import upscale


class ResidualBlock(nn.Module):
    """conv → ReLU → conv, added to what enters."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv_1 = conv(features, features)
        self.conv_2 = conv(features, features)

    def forward(self, z: Tensor) -> Tensor:
        residual: Tensor = self.conv_2(F.relu(self.conv_1(z)))
        return z + residual


class EnhanceNetConfig(OneScale, BaselineConfig):
    kind: Literal["enhancenet"] = "enhancenet"
    blocks: Count = 10
    features: Count = 64


class EnhanceNet(Baseline):
    """ŷ = φ_s(x) + r; r by residual blocks, then nearest-neighbour doublings and convolutions.

    The generator of all variants: E is trained on the pixel loss, PAT on perceptual,
    adversarial and texture losses. Its authors have 4 times; other scales have one
    doubling more or less.
    """

    layout = EnhanceNetConfig
    presets: ClassVar[Presets] = {
        "enhancenet-x2": EnhanceNetConfig(scale=2),  # 815,939 parameters
        "enhancenet-x4": EnhanceNetConfig(scale=4),  # 852,867
        "enhancenet-x8": EnhanceNetConfig(scale=8),  # 889,795
    }

    def __init__(self, *, scale: int, blocks: int, features: int) -> None:
        super().__init__()
        self.scales = (scale,)
        self.entry = conv(3, features)
        self.blocks = nn.ModuleList(ResidualBlock(features) for _ in range(blocks))
        doublings = scale.bit_length() - 1
        self.doubled = nn.ModuleList(conv(features, features) for _ in range(doublings))
        self.after = conv(features, features)
        self.last = conv(features, 3)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        z = F.relu(self.entry(x))
        for block in self.blocks:
            z = block(z)
        for layer in self.doubled:
            z = F.relu(layer(F.interpolate(z, scale_factor=2, mode="nearest")))
        residual: Tensor = self.last(F.relu(self.after(z)))
        return upscale(x, scale) + residual

    def steps(self, scale: int) -> list[Step]:
        return [(1, 1 + 2 * len(self.blocks)), *[(2, 0), (1, 1)] * len(self.doubled), (1, 2)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        return [
            *((1, part) for part in (self.entry, self.blocks)),
            *((4 ** (i + 1), layer) for i, layer in enumerate(self.doubled)),
            *((scale**2, part) for part in (self.after, self.last)),
        ]

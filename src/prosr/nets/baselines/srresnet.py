"""SRResNet, the generator of SRGAN: Ledig et al., Photo-realistic super-resolution (CVPR 2017)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import BaselineConfig, Count, OneScale
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv


class ResidualBlock(nn.Module):
    """conv → BN → PReLU → conv → BN, added to what enters."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv_1, self.norm_1 = conv(features, features), nn.BatchNorm2d(features)
        self.activate = nn.PReLU()
        self.conv_2, self.norm_2 = conv(features, features), nn.BatchNorm2d(features)

    def forward(self, z: Tensor) -> Tensor:
        residual: Tensor = self.norm_2(self.conv_2(self.activate(self.norm_1(self.conv_1(z)))))
        return z + residual


class SubPixel(nn.Module):
    """conv → pixel shuffle → PReLU: twice the size."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = conv(features, 4 * features)
        self.activate = nn.PReLU()

    def forward(self, z: Tensor) -> Tensor:
        doubled: Tensor = self.activate(F.pixel_shuffle(self.conv(z), 2))
        return doubled


class SRResNetConfig(OneScale, BaselineConfig):
    kind: Literal["srresnet"] = "srresnet"
    blocks: Count = 16
    features: Count = 64


class SRResNet(Baseline):
    """B residual blocks (`blocks`), then sub-pixel convolutions; 9×9 at both ends.

    x is in [0, 1] and the last convolution's units are [−1, 1], as the authors scale them.
    SRGAN is this net trained against a discriminator. Its authors have 4 times; other
    scales have one doubling more or less.
    """

    layout = SRResNetConfig
    presets: ClassVar[Presets] = {
        "srresnet-x2": SRResNetConfig(scale=2),  # 1,401,749 parameters
        "srresnet-x4": SRResNetConfig(scale=4),  # 1,549,462
        "srresnet-x8": SRResNetConfig(scale=8),  # 1,697,175
    }

    def __init__(self, *, scale: int, blocks: int, features: int) -> None:
        super().__init__()
        self.scales = (scale,)
        self.entry, self.activate = conv(3, features, size=9), nn.PReLU()
        self.blocks = nn.ModuleList(ResidualBlock(features) for _ in range(blocks))
        self.after, self.norm = conv(features, features), nn.BatchNorm2d(features)
        doublings = scale.bit_length() - 1
        self.upsamplers = nn.ModuleList(SubPixel(features) for _ in range(doublings))
        self.last = conv(features, 3, size=9)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        entered = self.activate(self.entry(x))
        z = entered
        for block in self.blocks:
            z = block(z)
        z = self.norm(self.after(z)) + entered
        for upsampler in self.upsamplers:
            z = upsampler(z)
        y_hat: Tensor = (self.last(z) + 1) / 2
        return y_hat

    def steps(self, scale: int) -> list[Step]:
        return [(1, 4 + 2 * len(self.blocks) + 1), *[(2, 1)] * len(self.upsamplers), (1, 4)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        return [
            *((1, part) for part in (self.entry, self.blocks, self.after)),
            *((4**i, upsampler) for i, upsampler in enumerate(self.upsamplers)),
            (scale**2, self.last),
        ]

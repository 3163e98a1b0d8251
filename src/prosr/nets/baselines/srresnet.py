"""SRResNet, the generator of SRGAN: Ledig et al., Photo-realistic super-resolution (CVPR 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import SRResNetConfig
from prosr.nets.blocks import conv
from prosr.nets.network import Network


class SRResNetBlock(nn.Module):
    """conv → BN → PReLU → conv → BN, added to the input."""

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


class SRResNet(Network):
    """Residual blocks, then sub-pixel convolutions; the first and last kernels are 9×9.

    x is in [0, 1] and the last convolution returns units of [−1, 1], as the authors scale
    them. SRGAN is this network trained against a discriminator. Its authors have ×4 only; the
    other scales have one doubling more or less.
    """

    def __init__(self, layout: SRResNetConfig) -> None:
        super().__init__(layout)
        features = layout.features
        self.entry, self.activate = conv(3, features, size=9), nn.PReLU()
        self.blocks = nn.ModuleList(SRResNetBlock(features) for _ in range(layout.blocks))
        self.after, self.norm = conv(features, features), nn.BatchNorm2d(features)
        doublings = range(layout.scale.bit_length() - 1)
        self.upsamplers = nn.ModuleList(SubPixel(features) for _ in doublings)
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

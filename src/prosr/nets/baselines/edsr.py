"""EDSR: Lim et al., Enhanced deep residual networks for super-resolution (CVPRW 2017)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import BaselineConfig, Count, OneScale
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.nets.blocks import MEAN_RGB

VALUE_RANGE = 255.0
"""The net's own units."""


class ResBlock(nn.Module):
    """conv → ReLU → conv without batch norm, scaled and added to what enters."""

    def __init__(self, features: int, residual_scale: float) -> None:
        super().__init__()
        self.conv_1 = conv(features, features)
        self.conv_2 = conv(features, features)
        self.residual_scale = residual_scale

    def forward(self, z: Tensor) -> Tensor:
        residual: Tensor = self.conv_2(F.relu(self.conv_1(z)))
        return z + self.residual_scale * residual


class EDSRConfig(OneScale, BaselineConfig):
    kind: Literal["edsr"] = "edsr"
    blocks: Count
    features: Count
    residual_scale: float


_BASELINE = partial(EDSRConfig, blocks=16, features=64, residual_scale=1.0)
_FULL = partial(EDSRConfig, blocks=32, features=256, residual_scale=0.1)


class EDSR(Baseline):
    """Residual blocks at the input's size, then one sub-pixel convolution for each doubling.

    Its authors have 2, 3 and 4 times; 8 times is one more doubling.
    """

    layout = EDSRConfig
    presets: ClassVar[Presets] = {
        "edsr-baseline-x2": _BASELINE(scale=2),  # 1,369,859 parameters
        "edsr-baseline-x4": _BASELINE(scale=4),  # 1,517,571
        "edsr-baseline-x8": _BASELINE(scale=8),  # 1,665,283
        "edsr-x2": _FULL(scale=2),  # 40,729,603
        "edsr-x4": _FULL(scale=4),  # 43,089,923
        "edsr-x8": _FULL(scale=8),  # 45,450,243
    }

    def __init__(self, *, scale: int, blocks: int, features: int, residual_scale: float) -> None:
        super().__init__()
        self.scales = (scale,)
        self.entry = conv(3, features)
        self.blocks = nn.ModuleList(ResBlock(features, residual_scale) for _ in range(blocks))
        self.after = conv(features, features)
        doublings = scale.bit_length() - 1
        self.upsamplers = nn.ModuleList(conv(features, 4 * features) for _ in range(doublings))
        self.last = conv(features, 3)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        mean = x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)
        entered = self.entry(VALUE_RANGE * (x - mean))
        z = entered
        for block in self.blocks:
            z = block(z)
        z = self.after(z) + entered
        for upsampler in self.upsamplers:
            z = F.pixel_shuffle(upsampler(z), 2)
        y_hat: Tensor = self.last(z) / VALUE_RANGE + mean
        return y_hat

    def steps(self, scale: int) -> list[Step]:
        return [(1, 2 + 2 * len(self.blocks)), *[(2, 1)] * len(self.upsamplers), (1, 1)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        return [
            *((1, part) for part in (self.entry, self.blocks, self.after)),
            *((4**i, upsampler) for i, upsampler in enumerate(self.upsamplers)),
            (scale**2, self.last),
        ]

"""SRDenseNet: Tong et al., Image super-resolution using dense skip connections (ICCV 2017)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import BaselineConfig, Count, OneScale
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.nets.baselines.lapsrn import Upconv
from prosr.nets.blocks import draw_he


class DenseBlock(nn.Module):
    """Layer i sees what layers 1 … i−1 of the block gave, the first what enters it.

    So reads the paper's equation; what enters is not passed on with the rest.
    """

    def __init__(self, channels_in: int, layers: int, growth: int) -> None:
        super().__init__()
        widths = (channels_in, *(growth * i for i in range(1, layers)))
        self.layers = nn.ModuleList(conv(width, growth) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.layers
        z: Tensor = F.relu(first(x))
        for layer in others:
            z = torch.cat((z, F.relu(layer(z))), dim=1)
        return z


class SRDenseNetConfig(OneScale, BaselineConfig):
    kind: Literal["srdensenet"] = "srdensenet"
    blocks: Count = 8
    layers: Count = 8
    growth: Count = 16
    bottleneck: Count = 256


class SRDenseNet(Baseline):
    """Dense blocks on luminance with skips from all levels, a bottleneck, transposed convs.

    This is SRDenseNet_All, with 69 layers for 4 times: 1 + 8×8 + 1 + 2 + 1. Its authors
    have that scale alone; others get a transposed convolution for each doubling.
    """

    channels = 1

    layout = SRDenseNetConfig
    presets: ClassVar[Presets] = {
        "srdensenet-x2": SRDenseNetConfig(scale=2),  # 1,553,409 parameters
        "srdensenet-x4": SRDenseNetConfig(scale=4),  # 2,143,489
        "srdensenet-x8": SRDenseNetConfig(scale=8),  # 2,733,569
    }

    def __init__(
        self, *, scale: int, blocks: int, layers: int, growth: int, bottleneck: int
    ) -> None:
        super().__init__()
        self.scales = (scale,)
        width = layers * growth
        self.entry = conv(1, width)
        self.blocks = nn.ModuleList(DenseBlock(width, layers, growth) for _ in range(blocks))
        self.bottleneck = conv((blocks + 1) * width, bottleneck, size=1)
        self.upconvs = nn.ModuleList(Upconv(bottleneck) for _ in range(scale.bit_length() - 1))
        self.last = conv(bottleneck, 1)
        self.radius = 1 + blocks * layers
        draw_he(self)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        levels = [F.relu(self.entry(x))]
        for block in self.blocks:
            levels.append(block(levels[-1]))
        z = F.relu(self.bottleneck(torch.cat(levels, dim=1)))
        for upconv in self.upconvs:
            z = F.relu(upconv(z))
        y_hat: Tensor = self.last(z)
        return y_hat

    def steps(self, scale: int) -> list[Step]:
        return [(1, self.radius), *[(2, 1)] * len(self.upconvs), (1, 1)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        return [
            *((1, part) for part in (self.entry, self.blocks, self.bottleneck)),
            *((4**i, upconv) for i, upconv in enumerate(self.upconvs)),
            (scale**2, self.last),
        ]

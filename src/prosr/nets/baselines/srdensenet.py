"""SRDenseNet: Tong et al., Image super-resolution using dense skip connections (ICCV 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import SRDenseNetConfig
from prosr.nets.baselines.lapsrn import Upconv
from prosr.nets.blocks import conv, draw_he
from prosr.nets.network import Network


class DenseBlock(nn.Module):
    """The input of layer i is the output of layers 1 … i−1, that of layer 1 the block's input.

    As in the paper's equation, later layers do not get the block's input.
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


class SRDenseNet(Network):
    """Dense blocks on luminance with skips from all levels, a bottleneck, transposed convs.

    This is SRDenseNet_All; for ×4 it has 69 layers, 1 + 8×8 + 1 + 2 + 1. Its authors have
    that scale only; the other scales have one transposed convolution more or less.
    """

    def __init__(self, layout: SRDenseNetConfig) -> None:
        super().__init__(layout)
        width = layout.layers * layout.growth
        self.entry = conv(1, width)
        self.blocks = nn.ModuleList(
            DenseBlock(width, layout.layers, layout.growth) for _ in range(layout.blocks)
        )
        self.bottleneck = conv((layout.blocks + 1) * width, layout.bottleneck, size=1)
        doublings = range(layout.scale.bit_length() - 1)
        self.upconvs = nn.ModuleList(Upconv(layout.bottleneck) for _ in doublings)
        self.last = conv(layout.bottleneck, 1)
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

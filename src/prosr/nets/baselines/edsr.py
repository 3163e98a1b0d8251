"""EDSR: Lim et al., Enhanced deep residual networks for super-resolution (CVPRW 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import EDSRConfig
from prosr.nets.blocks import MEAN_RGB, conv
from prosr.nets.network import Network


class EDSRBlock(nn.Module):
    """conv → ReLU → conv without batch norm, scaled and added to the input."""

    def __init__(self, features: int, residual_scale: float = 1.0) -> None:
        super().__init__()
        self.conv_1 = conv(features, features)
        self.conv_2 = conv(features, features)
        self.residual_scale = residual_scale

    def forward(self, z: Tensor) -> Tensor:
        residual: Tensor = self.conv_2(F.relu(self.conv_1(z)))
        return z + self.residual_scale * residual


class EDSR(Network):
    """Residual blocks at the input's size, then a sub-pixel convolution for each doubling.

    Its authors have ×2, ×3 and ×4; ×8 has one doubling more. Inside, colours are in [0, 255].
    """

    def __init__(self, layout: EDSRConfig) -> None:
        super().__init__(layout)
        features = layout.features
        self.entry = conv(3, features)
        self.blocks = nn.ModuleList(
            EDSRBlock(features, layout.residual_scale) for _ in range(layout.blocks)
        )
        self.after = conv(features, features)
        doublings = range(layout.scale.bit_length() - 1)
        self.upsamplers = nn.ModuleList(conv(features, 4 * features) for _ in doublings)
        self.last = conv(features, 3)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        mean = x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)
        entered = self.entry(255 * (x - mean))
        z = entered
        for block in self.blocks:
            z = block(z)
        z = self.after(z) + entered
        for upsampler in self.upsamplers:
            z = F.pixel_shuffle(upsampler(z), 2)
        y_hat: Tensor = self.last(z) / 255 + mean
        return y_hat

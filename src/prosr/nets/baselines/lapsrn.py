"""LapSRN: Lai et al., Deep Laplacian pyramid networks for super-resolution (CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosr.layouts import LapSRNConfig
from prosr.nets.blocks import LEAK, conv, draw_he, leaky_relu
from prosr.nets.network import Network, levels_below


class Upconv(nn.ConvTranspose2d):
    """The 3×3 transposed convolution that doubles features, cropped below and at the right."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features, 3, stride=2)

    def forward(self, z: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(z, output_size)[..., :-1, :-1]


class ImageUp(nn.ConvTranspose2d):
    """The learnt 4×4 transposed convolution that doubles pictures, bilinear at first."""

    def __init__(self) -> None:
        super().__init__(1, 1, 4, stride=2, padding=1, bias=False)

    def draw_bilinear(self) -> None:
        taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            self.weight.copy_(torch.outer(taps, taps))


class LapSRNLevel(nn.Module):
    """Feature embedding by `depth` convolutions and an upconv; adds a residual to the picture."""

    def __init__(self, depth: int, features: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(features, features) for _ in range(depth))
        self.upconv = Upconv(features)
        self.residual = conv(features, 1)
        self.image_up = ImageUp()

    def forward(self, z: Tensor, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.convs:
            z = leaky_relu(layer(z))
        z = leaky_relu(self.upconv(z))
        return z, self.image_up(y_hat) + self.residual(z)


class LapSRN(Network):
    """A Laplacian pyramid on luminance: each level adds a residual to the doubled level below.

    All levels are supervised, so a network also returns the scales below its last one.
    """

    def __init__(self, layout: LapSRNConfig) -> None:
        super().__init__(layout)
        self.entry = conv(1, layout.features)
        self.levels = nn.ModuleList(
            LapSRNLevel(layout.depth, layout.features) for _ in range(layout.levels)
        )
        draw_he(self, LEAK)
        for module in self.modules():
            if isinstance(module, ImageUp):
                module.draw_bilinear()

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        z, y_hat = leaky_relu(self.entry(x)), x
        for level in self.levels[: levels_below(self.scales, scale) + 1]:
            z, y_hat = level(z, y_hat)
        return y_hat

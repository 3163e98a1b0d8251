"""The parts of a ProSR generator (3.1, 3.2), some of which other networks share."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import DenseConfig, Padding

MEAN_RGB = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K's training pictures, in [0, 1]; the networks subtract it from x."""

LEAK = 0.2
"""Slope of every leaky ReLU: in LapSRN, MS-LapSRN and the discriminators."""


def leaky_relu(z: Tensor) -> Tensor:
    """Leaky ReLU with slope `LEAK`."""
    return F.leaky_relu(z, LEAK)


def conv(
    channels_in: int,
    channels_out: int,
    size: int = 3,
    bias: bool = True,
    padding: Padding = "zeros",
) -> nn.Conv2d:
    """CONV(size, size) that keeps height and width; `size` is odd.

    With padding "reflect", height and width must be larger than size // 2.
    """
    return nn.Conv2d(
        channels_in, channels_out, size, padding=size // 2, bias=bias, padding_mode=padding
    )


class DenseLayer(nn.Module):
    """CONV(1,1) → ReLU → CONV(3,3): no batch norm, and no ReLU before the CONV(1,1) (3.2)."""

    def __init__(self, channels_in: int, bottleneck: int, growth: int, padding: Padding) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, bottleneck, 1)
        self.conv = conv(bottleneck, growth, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        growth: Tensor = self.conv(self.hidden(x))
        return growth

    def hidden(self, x: Tensor) -> Tensor:
        """The input of the CONV(3,3)."""
        return F.relu(self.squeeze(x))


class NormalizedDenseLayer(DenseLayer):
    """BN → ReLU → CONV(1,1) → BN → ReLU → CONV(3,3): the original dense layer (3.2)."""

    def __init__(self, channels_in: int, bottleneck: int, growth: int, padding: Padding) -> None:
        super().__init__(channels_in, bottleneck, growth, padding)
        self.norm_in = nn.BatchNorm2d(channels_in)
        self.norm_squeezed = nn.BatchNorm2d(bottleneck)

    def hidden(self, x: Tensor) -> Tensor:
        return F.relu(self.norm_squeezed(self.squeeze(F.relu(self.norm_in(x)))))


class DCU(nn.Module):
    """Dense compression unit: dense layers, then a CONV(1,1) compression (3.2).

    `layout` gives the width of the bottlenecks and the padding. `compressed` is the number of
    channels after the compression; None means no compression. With `residual_scale`, the result is
    scaled and added to the input, which must then have `compressed` channels: the local residual
    link. `channels` is the number of channels that the unit returns. If the unit `folds`, the last
    CONV(3,3) and the compression of its result are computed as one convolution.
    """

    def __init__(
        self,
        layout: DenseConfig,
        channels_in: int,
        layers: int,
        growth: int,
        compressed: int | None,
        residual_scale: float | None = None,
        layer: type[DenseLayer] = DenseLayer,
    ) -> None:
        super().__init__()
        dense = channels_in + layers * growth
        self.layers = nn.ModuleList(
            layer(width, layout.bottleneck * growth, growth, layout.padding)
            for width in range(channels_in, dense, growth)
        )
        self.compression = nn.Conv2d(dense, compressed, 1, bias=False) if compressed else None
        self.channels = compressed or dense
        self.residual_scale = residual_scale
        # More MACs than they save if the growth is far below `compressed`.
        more = 9 * layout.bottleneck * growth * (self.channels - growth)
        self.folds = compressed is not None and more < growth * compressed

    def forward(self, x: Tensor) -> Tensor:
        z, layers = x, cast(list[DenseLayer], list(self.layers))
        for layer in layers[: len(layers) - self.folds]:
            z = torch.cat((z, layer(z)), dim=1)
        if self.folds:
            z = self._folded(z, layers[-1])
        elif self.compression is not None:
            z = self.compression(z)
        if self.residual_scale is None:
            return z
        return x + (z if self.folds else self.residual_scale * z)

    def _folded(self, z: Tensor, last: DenseLayer) -> Tensor:
        """The last layer, the compression and the scale, which have nothing between them."""
        compression = (self.residual_scale or 1.0) * cast(nn.Conv2d, self.compression).weight
        of_z, of_last = compression[:, : z.shape[1]], compression[:, z.shape[1] :, 0, 0]
        weight, bias = last.conv.weight, cast(Tensor, last.conv.bias)[:, None]  # for OpenCV
        kernel = (of_last @ weight.flatten(1)).view(-1, *weight.shape[1:])
        folded: Tensor = last.conv._conv_forward(last.hidden(z), kernel, (of_last @ bias)[:, 0])
        return F.conv2d(z, of_z) + folded


class SubPixelUpsampler(nn.Module):
    """CONV(3,3) to 4C channels → pixel shuffle → ReLU: C channels at twice the size (3.1)."""

    def __init__(self, channels_in: int, channels_out: int, padding: Padding) -> None:
        super().__init__()
        self.conv = conv(channels_in, 4 * channels_out, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.pixel_shuffle(self.conv(x), 2))


def draw_he(net: nn.Module, leak: float = 0.0) -> None:
    """Initialize all kernels for (leaky) ReLU as He et al. do, and all biases with 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=leak)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

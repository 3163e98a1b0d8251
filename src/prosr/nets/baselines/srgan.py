"""SRGAN's discriminator: Ledig et al., Photo-realistic super-resolution (CVPR 2017), Figure 4.

Its generator is `SRResNet`.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from prosr.layouts import SRGANDiscriminatorConfig
from prosr.nets.blocks import LEAK, conv

_LAYERS = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
"""Channels and stride of each convolution after the first."""


class SRGANDiscriminator(nn.Module):
    """Eight convolutions to a sixteenth of the side, two dense layers, one score a picture."""

    def __init__(self, layout: SRGANDiscriminatorConfig) -> None:
        super().__init__()
        parts: list[nn.Module] = [conv(3, 64), nn.LeakyReLU(LEAK)]
        channels = 64
        for width, stride in _LAYERS:
            layer = nn.Conv2d(channels, width, 3, stride=stride, padding=1)
            parts += [layer, nn.BatchNorm2d(width), nn.LeakyReLU(LEAK)]
            channels = width
        self.convolutions = nn.Sequential(*parts)
        hidden = nn.Linear(channels * (layout.side // 16) ** 2, 1024)
        self.dense = nn.Sequential(hidden, nn.LeakyReLU(LEAK), nn.Linear(1024, 1))

    def forward(self, y: Tensor, scale: int = 4, alpha: float = 1.0) -> Tensor:
        """Judge pictures, [N, 3, 96, 96] in [0, 1]: one score each, [N], at every scale.

        The paper's network ends in a sigmoid. Losses on logits contain it, and Eq. 3 does not use
        one. Inside, colours have the range [−1, 1], as in the generator.
        """
        z = self.convolutions(2 * y - 1).flatten(1)
        return cast(Tensor, self.dense(z)).flatten()

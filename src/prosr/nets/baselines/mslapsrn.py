"""MS-LapSRN: Lai et al., Fast and accurate super-resolution with deep Laplacian pyramids.

TPAMI 2018.
"""

from __future__ import annotations

from torch import Tensor, nn

from prosr.layouts import MsLapSRNConfig
from prosr.nets.baselines.lapsrn import ImageUp, Upconv
from prosr.nets.blocks import LEAK, conv, draw_he, leaky_relu
from prosr.nets.network import Network, levels_below


class MsLapSRN(Network):
    """LapSRN on luminance whose levels and scales share all weights.

    Features pass R times (`recursions`) through the same D convolutions (`depth`). Each time,
    the level's input is added: local residual learning with a shared source (SS).
    """

    def __init__(self, layout: MsLapSRNConfig) -> None:
        super().__init__(layout)
        features = layout.features
        self.recursions = layout.recursions
        self.entry = conv(1, features)
        self.convs = nn.ModuleList(conv(features, features) for _ in range(layout.depth))
        self.upconv = Upconv(features)
        self.residual = conv(features, 1)
        self.image_up = ImageUp()
        draw_he(self, LEAK)
        self.image_up.draw_bilinear()

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        z, y_hat = self.entry(x), x
        for _ in range(levels_below(self.scales, scale) + 1):
            source = z
            # Activations come before convolutions.
            for _ in range(self.recursions):
                for layer in self.convs:
                    z = layer(leaky_relu(z))
                z = z + source
            z = self.upconv(leaky_relu(z))
            y_hat = self.image_up(y_hat) + self.residual(z)
        return y_hat

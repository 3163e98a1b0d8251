"""EnhanceNet: Sajjadi et al., Super-resolution through automated texture synthesis (ICCV 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import EnhanceNetConfig
from prosr.nets.baselines.edsr import EDSRBlock
from prosr.nets.blocks import conv
from prosr.nets.network import Network
from prosr.resample.tensors import upscale


class EnhanceNet(Network):
    """ŷ = φ_s(x) + r; r by residual blocks, then nearest-neighbour doublings and convolutions.

    All variants have this generator: E is trained on the pixel loss, PAT on perceptual,
    adversarial and texture losses. Its authors have ×4 only; the other scales have one
    doubling more or less.
    """

    def __init__(self, layout: EnhanceNetConfig) -> None:
        super().__init__(layout)
        features = layout.features
        self.entry = conv(3, features)
        # Unscaled, EDSR's block is the one that the authors draw.
        self.blocks = nn.ModuleList(EDSRBlock(features) for _ in range(layout.blocks))
        doublings = range(layout.scale.bit_length() - 1)
        self.doubled = nn.ModuleList(conv(features, features) for _ in doublings)
        self.after = conv(features, features)
        self.last = conv(features, 3)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        z = F.relu(self.entry(x))
        for block in self.blocks:
            z = block(z)
        for layer in self.doubled:
            z = F.relu(layer(F.interpolate(z, scale_factor=2, mode="nearest")))
        residual: Tensor = self.last(F.relu(self.after(z)))
        return upscale(x, scale) + residual

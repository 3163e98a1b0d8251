"""VDSR: Kim et al., Accurate image super-resolution using very deep networks (CVPR 2016)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import VDSRConfig
from prosr.nets.blocks import conv, draw_he
from prosr.nets.network import Network
from prosr.resample.tensors import upscale


class VDSR(Network):
    """ŷ = φ_s(x) + r: plain 3×3 layers predict the residual of enlarged luminance.

    One network for all scales. Its layers have no biases, like the released weights; this
    gives the 665 k parameters that later papers count.
    """

    def __init__(self, layout: VDSRConfig) -> None:
        super().__init__(layout)
        widths = (1, *(layout.features,) * (layout.layers - 1), 1)
        self.layers = nn.ModuleList(
            conv(widths[i], widths[i + 1], bias=False) for i in range(layout.layers)
        )
        draw_he(self)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        interpolated = upscale(x, scale)
        *hidden, last = self.layers
        z = interpolated
        for layer in hidden:
            z = F.relu(layer(z))
        residual: Tensor = last(z)
        return interpolated + residual

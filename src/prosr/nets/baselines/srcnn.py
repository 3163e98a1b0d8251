"""SRCNN: Dong et al., Image super-resolution using deep convolutional networks (TPAMI 2016)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import SRCNNConfig
from prosr.nets.network import Network
from prosr.resample.tensors import upscale


class SRCNN(Network):
    """Patch extraction, non-linear mapping and reconstruction of enlarged luminance, φ_s(Y).

    The network is the same for every s; its authors trained one for each scale. Borders are
    repeated, as in their test code.
    """

    def __init__(self, layout: SRCNNConfig) -> None:
        super().__init__(layout)
        n = (1, *layout.widths, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(n[i], n[i + 1], size) for i, size in enumerate(layout.sizes)
        )
        self.margin = sum(size // 2 for size in layout.sizes)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        y = F.pad(upscale(x, scale), (self.margin,) * 4, mode="replicate")
        first, mapping, last = self.layers
        y_hat: Tensor = last(F.relu(mapping(F.relu(first(y)))))
        return y_hat

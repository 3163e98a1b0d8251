"""VDSR: Kim et al., Accurate image super-resolution using very deep networks (CVPR 2016)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import AllScales, BaselineConfig, Count, Several
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.nets.blocks import draw_he
from prosr.resample import PHI_RADIUS
from prosr.resample.tensors import upscale


class VDSRConfig(AllScales, BaselineConfig):
    kind: Literal["vdsr"] = "vdsr"
    layers: Several = 20
    features: Count = 64


class VDSR(Baseline):
    """ŷ = φ_s(x) + r: 20 plain 3×3 layers predict the residual of enlarged luminance.

    One net for all scales. Its layers have no biases, like the weights that we convert;
    only so are there the 665 k parameters that later papers count.
    """

    channels = 1
    scales = (2, 4, 8)
    layout = VDSRConfig
    presets: ClassVar[Presets] = {"vdsr": VDSRConfig()}  # 664,704 parameters

    def __init__(self, *, layers: int, features: int) -> None:
        super().__init__()
        widths = (1, *(features,) * (layers - 1), 1)
        self.layers = nn.ModuleList(
            conv(widths[i], widths[i + 1], bias=False) for i in range(layers)
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

    def steps(self, scale: int) -> list[Step]:
        return [(scale, PHI_RADIUS), (1, len(self.layers))]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        return [(scale**2, self.layers)]

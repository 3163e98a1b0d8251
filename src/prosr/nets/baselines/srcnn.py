"""SRCNN: Dong et al., Image super-resolution using deep convolutional networks (TPAMI 2016)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import AllScales, BaselineConfig, Count
from prosr.nets.baselines.anatomy import Baseline, Presets, Step
from prosr.resample import PHI_RADIUS
from prosr.resample.tensors import upscale


class SRCNNConfig(AllScales, BaselineConfig):
    kind: Literal["srcnn"] = "srcnn"
    sizes: tuple[Count, Count, Count]
    widths: tuple[Count, Count]


class SRCNN(Baseline):
    """Patch extraction f1, non-linear mapping f2 and reconstruction f3 on enlarged luminance.

    `sizes` are f1, f2, f3, `widths` n1 and n2. The net sees φ_s(Y) whatever s is; its
    authors trained one for each scale. Borders are repeated, as in their test code.
    """

    channels = 1
    scales = (2, 4, 8)
    layout = SRCNNConfig
    presets: ClassVar[Presets] = {
        "srcnn": SRCNNConfig(sizes=(9, 5, 5), widths=(64, 32))
    }  # 57,281 parameters

    def __init__(self, *, sizes: tuple[int, int, int], widths: tuple[int, int]) -> None:
        super().__init__()
        n = (1, *widths, 1)
        self.layers = nn.ModuleList(nn.Conv2d(n[i], n[i + 1], f) for i, f in enumerate(sizes))
        self.margin = sum(f // 2 for f in sizes)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        y = F.pad(upscale(x, scale), (self.margin,) * 4, mode="replicate")
        first, mapping, last = self.layers
        y_hat: Tensor = last(F.relu(mapping(F.relu(first(y)))))
        return y_hat

    def steps(self, scale: int) -> list[Step]:
        return [(scale, PHI_RADIUS), (1, self.margin)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        return [(scale**2, self.layers)]

"""MS-LapSRN: Lai et al., Fast and accurate super-resolution with deep Laplacian pyramids.

TPAMI 2018.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import AllScales, BaselineConfig, Count
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.nets.baselines.lapsrn import ImageUp, Upconv
from prosr.nets.blocks import draw_he


class MsLapSRNConfig(AllScales, BaselineConfig):
    kind: Literal["mslapsrn"] = "mslapsrn"
    depth: Count = 5
    recursions: Count = 8
    features: Count = 64
    leak: float = 0.2


class MsLapSRN(Baseline):
    """LapSRN whose levels and scales share all their weights: one net for 2, 4 and 8 times.

    Features pass R times (`recursions`) through the same D convolutions (`depth`), each
    time adding what entered the level: local residual learning with a shared source (SS).
    """

    channels = 1
    scales = (2, 4, 8)
    layout = MsLapSRNConfig
    presets: ClassVar[Presets] = {"mslapsrn": MsLapSRNConfig()}  # 222,801 parameters

    def __init__(self, *, depth: int, recursions: int, features: int, leak: float) -> None:
        super().__init__()
        self.recursions = recursions
        self.activate = partial(F.leaky_relu, negative_slope=leak)
        self.entry = conv(1, features)
        self.convs = nn.ModuleList(conv(features, features) for _ in range(depth))
        self.upconv = Upconv(features)
        self.residual = conv(features, 1)
        self.image_up = ImageUp()
        draw_he(self, leak)
        self.image_up.draw_bilinear()

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        z, y_hat = self.entry(x), x
        for _ in range(_levels(scale)):
            z = self.upconv(self.activate(self.embed(z)))
            y_hat = self.image_up(y_hat) + self.residual(z)
        return y_hat

    def embed(self, source: Tensor) -> Tensor:
        """The feature embedding of a level, its activations before its convolutions."""
        z = source
        for _ in range(self.recursions):
            for layer in self.convs:
                z = layer(self.activate(z))
            z = z + source
        return z

    def steps(self, scale: int) -> list[Step]:
        # The path through the features is never shorter than one that leaves them early.
        level = [(1, self.recursions * len(self.convs)), (2, 1)]
        return [(1, 1), *level * _levels(scale), (1, 1)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        counted: list[tuple[int, nn.Module]] = [(1, self.entry)]
        for i in range(_levels(scale)):
            counted += [(4**i, part) for part in (self.upconv, self.image_up)]
            counted += [(4**i * self.recursions, self.convs), (4 ** (i + 1), self.residual)]
        return counted


def _levels(scale: int) -> int:
    return scale.bit_length() - 1

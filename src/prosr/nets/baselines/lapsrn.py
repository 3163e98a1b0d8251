"""LapSRN: Lai et al., Deep Laplacian pyramid networks for super-resolution (CVPR 2017)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import SCALES, BaselineConfig, Count, Scale
from prosr.nets.baselines.anatomy import Baseline, Presets, Step, conv
from prosr.nets.blocks import draw_he


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


class Level(nn.Module):
    """Feature embedding: `depth` convolutions and an upconv; a residual and a picture leave it."""

    def __init__(self, depth: int, features: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(features, features) for _ in range(depth))
        self.upconv = Upconv(features)
        self.residual = conv(features, 1)
        self.image_up = ImageUp()


class LapSRNConfig(BaselineConfig):
    kind: Literal["lapsrn"] = "lapsrn"
    levels: Literal[1, 2, 3]
    depth: Count = 10
    features: Count = 64
    leak: float = 0.2

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES[: self.levels]

    @property
    def timed_at(self) -> tuple[Scale, ...]:
        return self.scales[-1:]


class LapSRN(Baseline):
    """A Laplacian pyramid on luminance: each level adds a residual to the doubled level below.

    A net of `levels` was trained for its last scale; its lower levels are supervised too,
    and give the scales below. `depth` is the convolutions in each level: 10, or 5 in the
    authors' net for 8 times.
    """

    channels = 1

    layout = LapSRNConfig
    presets: ClassVar[Presets] = {
        "lapsrn-x2": LapSRNConfig(levels=1),  # 407,441 parameters
        "lapsrn-x4": LapSRNConfig(levels=2),  # 814,242
        "lapsrn-x8": LapSRNConfig(levels=3, depth=5),  # 667,123
    }

    def __init__(self, *, levels: int, depth: int, features: int, leak: float) -> None:
        super().__init__()
        self.scales = tuple(2 ** (i + 1) for i in range(levels))
        self.depth = depth
        self.activate = partial(F.leaky_relu, negative_slope=leak)
        self.entry = conv(1, features)
        self.levels = nn.ModuleList(Level(depth, features) for _ in range(levels))
        draw_he(self, leak)
        for level in self._levels(2**levels):
            level.image_up.draw_bilinear()

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        z, y_hat = self.activate(self.entry(x)), x
        for level in self._levels(scale):
            for layer in level.convs:
                z = self.activate(layer(z))
            z = self.activate(level.upconv(z))
            y_hat = level.image_up(y_hat) + level.residual(z)
        return y_hat

    def steps(self, scale: int) -> list[Step]:
        # The path through the features is never shorter than one that leaves them early.
        return [(1, 1), *[(1, self.depth), (2, 1)] * len(self._levels(scale)), (1, 1)]

    def kernels(self, scale: int) -> list[tuple[int, nn.Module]]:
        counted: list[tuple[int, nn.Module]] = [(1, self.entry)]
        for i, level in enumerate(self._levels(scale)):
            counted += [(4**i, part) for part in (level.convs, level.upconv, level.image_up)]
            counted.append((4 ** (i + 1), level.residual))
        return counted

    def _levels(self, scale: int) -> list[Level]:
        count = scale.bit_length() - 1
        return [level for level in self.levels[:count] if isinstance(level, Level)]

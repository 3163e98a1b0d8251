"""The discriminator of ProGanSR: the generator's pyramid reversed (3.3)."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from prosr.layouts import DiscriminatorConfig
from prosr.nets.blocks import LEAK, conv, draw_he, leaky_relu
from prosr.nets.network import levels_below


class Convolutions(nn.Module):
    """CONV(3,3) → leaky ReLU for each step in `widths`; height and width are kept."""

    def __init__(self, widths: tuple[int, ...], layout: DiscriminatorConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _conv(before, after, layout) for before, after in pairwise(widths)
        )

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.layers:
            z = leaky_relu(layer(z))
        return z


class ProgressiveDiscriminator(nn.Module):
    """Levels u_2, u_1, u_0, each ending in average pooling ×2, and an input v_s for each s."""

    def __init__(self, layout: DiscriminatorConfig) -> None:
        super().__init__()
        self.scales, self.gain = layout.scales, layout.gain
        features, groups = layout.features, (*layout.trunk, layout.head)
        inputs = [_conv(3, width, layout) for width in features[: 1 if layout.shared else None]]
        self.v = nn.ModuleDict(dict(zip(map(str, self.scales), inputs, strict=False)))
        given = (groups[0][0], *features)
        self.u = nn.ModuleList(
            Convolutions((width, *[after] * count), layout)
            for width, count, after in zip(features, layout.layers, given, strict=False)
        )
        self.trunk = nn.ModuleList(Convolutions(widths, layout) for widths in layout.trunk)
        self.head = Convolutions(layout.head, layout)
        last = layout.head[-1]
        self.linear = _conv(last, layout.linear, layout) if layout.linear else nn.Identity()
        self.score = _conv(layout.linear or last, 1, layout)

    def forward(self, residual: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Score patches of a residual, r̂ or r, [N, 3, sH, sW] in units of [0, 1].

        The scores, [N, 1, H, W], should be 1 for r and 0 for r̂ (Eq. 3). `alpha` is the
        weight of the level for `scale` while the curriculum blends it in (Fig. 3, bottom).
        Raises `ConfigError` for a scale or alpha that is not possible.
        """
        below = levels_below(self.scales, scale, alpha)
        z = self.reduce(self.enter(residual, scale), below)
        if alpha < 1:
            entered = self.enter(F.avg_pool2d(residual, 2), scale // 2)
            z = alpha * z + (1 - alpha) * entered
        for level in reversed(range(below)):
            z = self.reduce(z, level)
        for group in self.trunk:
            z = F.avg_pool2d(group(z), 2)
        return cast(Tensor, self.score(self.linear(self.head(z))))

    def enter(self, residual: Tensor, scale: int) -> Tensor:
        """v_s, from a residual to features."""
        v = self.v[str(scale) if len(self.v) > 1 else "2"]
        return leaky_relu(v(self.gain * residual))

    def reduce(self, z: Tensor, level: int) -> Tensor:
        """u, from features to features of half the height and width."""
        return F.avg_pool2d(self.u[level](z), 2)


def _conv(channels_in: int, channels_out: int, layout: DiscriminatorConfig) -> nn.Module:
    """CONV(3,3) with He's initialization, as no normalization corrects its scale."""
    layer = conv(channels_in, channels_out, padding=layout.padding)
    draw_he(layer, LEAK)
    return spectral_norm(layer) if layout.spectral else layer

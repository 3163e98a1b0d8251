"""ProSR: one network for ×2, ×4 and ×8 (3.1)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.layouts import ProSRConfig, PyramidConfig
from prosr.nets.blocks import DCU, MEAN_RGB, SubPixelUpsampler, conv
from prosr.nets.network import Network, levels_below
from prosr.resample.tensors import back_project, upscale


class Level(nn.Module):
    """u: entry compression → DCUs → cap → CONV(3,3) → sub-pixel ×2 upsampler (3.1).

    `entry` compresses the features from the level below, from the second level on. `cap`
    limits the channels at the end. The residual link of a very deep model spans everything
    but the upsampler. `channels_in` enter the level and `channels` leave it.
    """

    def __init__(self, layout: PyramidConfig, depth: int, channels_in: int) -> None:
        super().__init__()
        growth, padding = layout.growth[depth], layout.padding
        width = channels_in
        self.entry: nn.Conv2d | None = None
        if depth > 0:
            width = int(layout.level_compression * channels_in)
            self.entry = nn.Conv2d(channels_in, width, 1, bias=False)
        units = []
        for i, layers in enumerate(layout.dcus[depth], 1):
            compressed: int | None = int(layout.dcu_compression * (width + layers * growth))
            if layout.residual:
                compressed = width
            elif i == len(layout.dcus[depth]):
                compressed = None
            scaling = layout.residual_scale if layout.residual else None
            units.append(DCU(layout, width, layers, growth, compressed, scaling))
            width = units[-1].channels
        self.dcus = nn.ModuleList(units)
        self.cap: nn.Conv2d | None = None
        if layout.max_features is not None and width > layout.max_features:
            self.cap = nn.Conv2d(width, layout.max_features, 1, bias=False)
            width = layout.max_features
        self.conv = conv(width, width, padding=padding)
        self.channels = layout.upsampled[depth] if layout.upsampled else width
        self.upsampler = SubPixelUpsampler(width, self.channels, padding)
        self.residual = layout.residual

    def forward(self, x: Tensor) -> Tensor:
        z = x if self.entry is None else self.entry(x)
        for dcu in self.dcus:
            z = dcu(z)
        z = self.conv(z if self.cap is None else self.cap(z))
        upsampled: Tensor = self.upsampler(z + x if self.residual else z)
        return upsampled


class Pyramid(Network):
    """The parts v_s, u_0 … u_2 and r_s of a pyramid (3.1), and what its kinds share."""

    def __init__(self, layout: PyramidConfig) -> None:
        super().__init__(layout)
        self.value_range = layout.value_range
        self.v = nn.ModuleDict(
            {str(s): conv(3, layout.features, padding=layout.padding) for s in self.scales}
        )
        self.u = nn.ModuleList()
        self.r = nn.ModuleDict()
        channels = layout.features
        for depth, scale in enumerate(self.scales):
            level = Level(layout, depth, channels)
            channels = level.channels
            self.u.append(level)
            self.r[str(scale)] = conv(channels, 3, padding=layout.padding)

    def enter(self, x: Tensor, scale: int) -> Tensor:
        """v_s, from [0, 1] to features."""
        mean = x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)
        return cast(Tensor, self.v[str(scale)]((x - mean) * self.value_range))

    def leave(self, z: Tensor, scale: int) -> Tensor:
        """r_s, from features to a residual in units of [0, 1]."""
        return cast(Tensor, self.r[str(scale)](z) / self.value_range)

    @torch.no_grad()
    def open(self, scale: int) -> None:
        """Copy v_{s−1} to v_s before training opens `scale`; at alpha 0, R_s is then R_{s−1} ×2.

        A random v_s would feed unfamiliar features to the levels that both scales share, and
        their gradient would spoil these levels.
        """
        self.v[str(scale)].load_state_dict(self.v[str(scale // 2)].state_dict())

    def parameter_count(self, scale: int) -> int:
        """Number of parameters that training up to `scale` changes, smaller scales included."""
        depth = levels_below(self.scales, scale) + 1
        ends = (part[str(s)] for s in self.scales[:depth] for part in (self.v, self.r))
        parts = (*self.u[:depth], *ends)
        return sum(parameter.numel() for part in parts for parameter in part.parameters())


class ProSR(Pyramid):
    """ŷ = R_s(x) + φ_s(x) (Eq. 2), R_s = r_s ∘ u_s ∘ … ∘ u_0 ∘ v_s (Eq. 1)."""

    def __init__(self, layout: ProSRConfig) -> None:
        super().__init__(layout)
        self.back_projections = layout.back_projections

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        return self.estimate(self.residual(x, scale, alpha), x, scale)

    def residual(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """R_s(x) (Eq. 1), [N, 3, sH, sW] in units of [0, 1], blended by `alpha` as in Fig. 3, top.

        Raises `ConfigError` for a scale or alpha that is not possible.
        """
        below = levels_below(self.scales, scale, alpha)
        z = self.enter(x, scale)
        for level in self.u[:below]:
            z = level(z)
        r_hat = self.leave(self.u[below](z), scale)
        if alpha < 1:
            previous = self.leave(z, scale // 2)
            previous = F.interpolate(previous, scale_factor=2, mode="bilinear")
            r_hat = alpha * r_hat + (1 - alpha) * previous
        return r_hat

    def estimate(self, residual: Tensor, x: Tensor, scale: int) -> Tensor:
        """ŷ = R_s(x) + φ_s(x) (Eq. 2), followed by the layout's back-projections."""
        y_hat = residual + upscale(x, scale)
        return back_project(y_hat, x, scale, self.back_projections)

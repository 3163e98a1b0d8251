"""ProSR: one network for 2, 4 and 8 times (3.1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.nets.blocks import (
    DCU,
    MEAN_RGB,
    Conv3x3,
    Level,
    Padding,
    count_parameters,
    levels_below,
    multiply_adds,
)
from prosr.resample import BACK_PROJECTION_RADIUS, PHI_RADIUS, back_project, upscale


class ProSR(nn.Module):
    """ŷ = R_s(x) + φ_s(x) (Eq. 2), R_s = r_s ∘ u_s ∘ … ∘ u_0 ∘ v_s (Eq. 1).

    The arguments are those of `prosr.layouts.ProSRConfig`, where they are explained.
    """

    def __init__(
        self,
        *,
        features: int,
        growth: tuple[int, ...],
        dcus: tuple[tuple[int, ...], ...],
        bottleneck: int = 4,
        residual: bool = False,
        residual_scale: float = 0.2,
        dcu_compression: float = 0.4,
        level_compression: float = 1.0,
        upsampled: tuple[int, ...] | None = None,
        max_features: int | None = None,
        padding: Padding = "reflect",
        value_range: float = 255.0,
        back_projections: int = 0,
    ) -> None:
        super().__init__()
        self.back_projections = back_projections
        self.scales = tuple(2 ** (level + 1) for level in range(len(dcus)))
        self.value_range = value_range
        self.v = nn.ModuleDict({str(s): Conv3x3(3, features, padding) for s in self.scales})
        self.u = nn.ModuleList()
        self.r = nn.ModuleDict()
        channels = features
        for depth, (scale, layers, k) in enumerate(zip(self.scales, dcus, growth, strict=True)):
            entry, width = None, channels
            if depth > 0:
                width = int(level_compression * channels)
                entry = nn.Conv2d(channels, width, 1, bias=False)
            units = []
            for i, count in enumerate(layers):
                dense = width + count * k
                last = i + 1 == len(layers)
                compressed = width if residual else None if last else int(dcu_compression * dense)
                scaling = residual_scale if residual else None
                unit = DCU(width, count, k, bottleneck * k, compressed, padding, scaling)
                units.append(unit)
                width = unit.channels
            cap = None
            if max_features is not None and width > max_features:
                cap = nn.Conv2d(width, max_features, 1, bias=False)
                width = max_features
            channels = upsampled[depth] if upsampled else width
            self.u.append(Level(entry, units, cap, channels, padding, residual))
            self.r[str(scale)] = Conv3x3(channels, 3, padding)

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, 3, H, W] RGB in [0, 1], to ŷ, [N, 3, sH, sW], not clipped.

        `alpha` is the share of the level that `scale` adds while the curriculum blends it
        in (3.4, Fig. 3). Raises `ConfigError` for a scale or alpha that is not possible.
        """
        return self.estimate(self.residual(x, scale, alpha), x, scale)

    def estimate(self, residual: Tensor, x: Tensor, scale: int) -> Tensor:
        """ŷ from R_s(x): φ_s(x) is added, and the sum made to agree with x if it is to."""
        y_hat = residual + upscale(x, scale)
        return back_project(y_hat, x, scale, self.back_projections)

    def residual(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """R_s(x) (Eq. 1) in units of [0, 1], blended by `alpha` as in Fig. 3, top."""
        below = levels_below(self.scales, scale, alpha)
        z = self.enter(x, scale)
        for level in self.u[:below]:
            z = level(z)
        r_hat = self._exit(cast(Level, self.u[below]).cascade(z), below)
        if alpha < 1:
            previous = self.leave(z, scale // 2)
            previous = F.interpolate(previous, scale_factor=2, mode="bilinear")
            r_hat = alpha * r_hat + (1 - alpha) * previous
        return r_hat

    @torch.no_grad()
    def open(self, scale: int) -> None:
        """Let training at `scale` begin where the scale below stands: v_s becomes v_{s−1}.

        At alpha 0, R_s is then R_{s−1} enlarged. Features from a v_s of random numbers would
        be strange to the levels that both share, and their gradient would ruin those.
        """
        self.v[str(scale)].load_state_dict(self.v[str(scale // 2)].state_dict())

    def stages(self, scale: int) -> list[tuple[Callable[[Tensor], Tensor], int, int]]:
        """The functions that R_s is composed of (Eq. 1), first to last, for tiling each.

        With each: by how much it enlarges, and its receptive radius in pixels of its input. A
        level's upsampler goes with what follows it, so that the features between two
        functions are those of the smaller picture.
        """
        first, *others = self._levels(scale)
        return [
            (lambda x: first.cascade(self.enter(x, scale)), 1, 1 + first.radius),
            *(
                (lambda z, a=a, b=b: b.cascade(a.upscale(z)), 2, 1 + -(-b.radius // 2))
                for a, b in pairwise((first, *others))
            ),
            (lambda z: self._exit(z, len(others)), 2, 2),
        ]

    def _exit(self, z: Tensor, depth: int) -> Tensor:
        """From the features of a level's cascade to the residual: its upsampler, then r_s."""
        r = cast(Conv3x3, self.r[str(self.scales[depth])])
        return cast(Level, self.u[depth]).upsampler.then(r, z) / self.value_range

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        radius = 1
        for level in reversed(self._levels(scale)):
            radius = -(-radius // 2) + 1 + level.radius
        return max(1 + radius, PHI_RADIUS) + BACK_PROJECTION_RADIUS * self.back_projections

    def _levels(self, scale: int) -> list[Level]:
        return cast(list[Level], list(self.u[: levels_below(self.scales, scale) + 1]))

    def multiply_adds(self, scale: int) -> int:
        """Multiply-adds of R_s per input pixel."""
        depth = levels_below(self.scales, scale) + 1
        levels = [(level, 4**i) for i, level in enumerate(self.u[:depth])]
        return multiply_adds([(self.v[str(scale)], 1), *levels, (self.r[str(scale)], scale**2)])

    def parameter_count(self, scale: int) -> int:
        """Parameters that training up to `scale` trains: the smaller scales' ones too."""
        depth = levels_below(self.scales, scale) + 1
        doors = (door[str(s)] for s in self.scales[:depth] for door in (self.v, self.r))
        return count_parameters([*self.u[:depth], *doors])

    def enter(self, x: Tensor, scale: int) -> Tensor:
        """v_s, from [0, 1] to features."""
        mean = x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)
        return cast(Tensor, self.v[str(scale)]((x - mean) * self.value_range))

    def leave(self, z: Tensor, scale: int) -> Tensor:
        """r_s, from features to a residual in units of [0, 1]."""
        return cast(Tensor, self.r[str(scale)](z) / self.value_range)

"""The alternative that ProSR is compared with: a deeply supervised Laplacian pyramid (4.2)."""

from __future__ import annotations

from torch import Tensor, nn

from prosr.nets.blocks import levels_below, multiply_adds
from prosr.nets.generator import ProSR
from prosr.resample import PHI_RADIUS
from prosr.resample.tensors import upscale


class LaplacianPyramid(nn.Module):
    """A ProSR's parts put together by another principle: Eq. 8 in the place of Eq. 2.

    Every level gives an estimate, which is the base of the next one's.
    """

    def __init__(self, parts: ProSR) -> None:
        super().__init__()
        self.parts = parts
        self.scales = parts.scales

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, 3, H, W] RGB in [0, 1], to ŷ, [N, 3, sH, sW], not clipped.

        `alpha` and what is raised are as in `estimates`.
        """
        return self.estimates(x, scale, alpha)[-1]

    def estimates(self, x: Tensor, scale: int, alpha: float = 1.0) -> tuple[Tensor, ...]:
        """Eq. 8, ŷ_s = r̂_s + φ_2(ŷ_{s−1}), for 2, 4, … up to `scale`; the last one is ŷ.

        `alpha` is the share of the last r̂: at 0 the last estimate is the enlarged one
        below it. Raises `ConfigError` for a scale or alpha that is not possible.
        """
        below = levels_below(self.scales, scale, alpha)
        parts, y_hat = self.parts, x
        z = parts.enter(x, scale)
        estimates = []
        for s, level in zip(self.scales[: below + 1], parts.u, strict=False):
            z = level(z)
            share = alpha if s == scale else 1.0
            y_hat = share * parts.leave(z, s) + upscale(y_hat, 2)
            estimates.append(y_hat)
        return tuple(estimates)

    def open(self, scale: int) -> None:
        """Let training at `scale` begin where the scale below stands, as in `ProSR.open`."""
        self.parts.open(scale)

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        below = levels_below(self.scales, scale)
        # φ_2 of the estimate below reaches at most one input pixel further than that does.
        base = self.receptive_radius(scale // 2) + 1 if below else PHI_RADIUS
        return max(self.parts.receptive_radius(scale), base)

    def multiply_adds(self, scale: int) -> int:
        """Multiply-adds per input pixel, without φ_2."""
        below = self.scales[: levels_below(self.scales, scale)]
        exits = multiply_adds((self.parts.r[str(s)], s**2) for s in below)
        return self.parts.multiply_adds(scale) + exits

    def parameter_count(self, scale: int) -> int:
        """Parameters that training up to `scale` trains: as many as the parts'."""
        return self.parts.parameter_count(scale)

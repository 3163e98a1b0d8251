"""The alternative that the paper compares with: a deeply supervised Laplacian pyramid (4.2)."""

from __future__ import annotations

from torch import Tensor

from prosr.nets.generator import Pyramid
from prosr.nets.network import levels_below
from prosr.resample.tensors import upscale


class LaplacianPyramid(Pyramid):
    """The parts of a ProSR of the same layout, combined by Eq. 8 instead of Eq. 2.

    Every level returns an estimate, to which the next level adds its residual.
    """

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        return self.estimates(x, scale, alpha)[-1]

    def estimates(self, x: Tensor, scale: int, alpha: float = 1.0) -> tuple[Tensor, ...]:
        """Eq. 8, ŷ_s = r̂_s + φ_2(ŷ_{s−1}), for ×2, ×4, … up to `scale`; the last one is ŷ.

        `alpha` is the weight of the last r̂: at 0, the last estimate is the enlarged one
        below it. Raises `ConfigError` for a scale or alpha that is not possible.
        """
        below = levels_below(self.scales, scale, alpha)
        z, y_hat = self.enter(x, scale), x
        estimates = []
        for s, level in zip(self.scales[: below + 1], self.u, strict=False):
            z = level(z)
            weight = alpha if s == scale else 1.0
            y_hat = weight * self.leave(z, s) + upscale(y_hat, 2)
            estimates.append(y_hat)
        return tuple(estimates)

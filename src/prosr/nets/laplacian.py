"""The alternative that the paper compares with: a deeply supervised Laplacian pyramid (4.2)."""

from __future__ import annotations

from torch import Tensor

from prosr.layouts import LaplacianConfig, ProSRConfig
from prosr.nets.generator import ProSR
from prosr.nets.network import Network, levels_below
from prosr.resample.tensors import upscale


class LaplacianPyramid(Network):
    """The parts of a ProSR of the same layout, combined by Eq. 8 instead of Eq. 2.

    Every level returns an estimate, to which the next level adds its residual.
    """

    def __init__(self, layout: LaplacianConfig) -> None:
        super().__init__(layout)
        self.parts = ProSR(ProSRConfig(**layout.model_dump(exclude={"kind"})))

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        return self.estimates(x, scale, alpha)[-1]

    def estimates(self, x: Tensor, scale: int, alpha: float = 1.0) -> tuple[Tensor, ...]:
        """Eq. 8, ŷ_s = r̂_s + φ_2(ŷ_{s−1}), for ×2, ×4, … up to `scale`; the last one is ŷ.

        `alpha` is the weight of the last r̂: at 0, the last estimate is the enlarged one
        below it. Raises `ConfigError` for a scale or alpha that is not possible.
        """
        below = levels_below(self.scales, scale, alpha)
        parts, y_hat = self.parts, x
        z = parts.enter(x, scale)
        estimates = []
        for s, level in zip(self.scales[: below + 1], parts.u, strict=False):
            z = level(z)
            weight = alpha if s == scale else 1.0
            y_hat = weight * parts.leave(z, s) + upscale(y_hat, 2)
            estimates.append(y_hat)
        return tuple(estimates)

    def open(self, scale: int) -> None:
        """Copy v_{s−1} to v_s before training opens `scale`, as `ProSR.open` does."""
        self.parts.open(scale)

    def parameter_count(self, scale: int) -> int:
        """Number of parameters that training up to `scale` changes, smaller scales included."""
        return self.parts.parameter_count(scale)

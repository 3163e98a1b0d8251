"""Bicubic enlargement as a model like any other."""

from __future__ import annotations

from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.resample import PHI_RADIUS
from prosr.resample.tensors import upscale


class Bicubic(nn.Module):
    """φ_s(x) alone, without parameters."""

    scales = (2, 4, 8)

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, C, H, W], to [N, C, sH, sW], not clipped; alpha must be 1."""
        if alpha != 1:
            raise ConfigError(f"alpha {alpha}: bicubic has no levels to blend; use alpha 1")
        return upscale(x, scale)

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        return PHI_RADIUS

    def multiply_adds(self, scale: int) -> int:
        """None: φ_s is counted in no model."""
        return 0

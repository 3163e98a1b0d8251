"""What the nets of other papers have in common: their contract, and what it is made from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.layouts import BaselineConfig
from prosr.nets.blocks import multiply_adds
from prosr.resample import PHI_RADIUS

Step = tuple[int, int]
"""By how much a layer enlarges, and its receptive radius in pixels of its input."""

Presets = Mapping[str, BaselineConfig]
"""Layouts by the names under which they are known."""


class Baseline(nn.Module):
    """A net for the scales in `scales`, on RGB or (`channels` = 1) on luminance alone."""

    layout: ClassVar[type[BaselineConfig]]
    """Names the arguments of the net's constructor."""

    presets: ClassVar[Presets]

    channels: ClassVar[int] = 3
    scales: tuple[int, ...]

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, channels, H, W] in [0, 1], to [N, channels, sH, sW], not clipped.

        Raises `ConfigError` for a scale that is not in `scales` and for an alpha but 1.
        """
        self.check(scale, alpha)
        return self.enlarge(x, scale)

    @abstractmethod
    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        """`forward` for a request that has been checked."""

    @abstractmethod
    def steps(self, scale: int) -> list[Step]:
        """The longest path from x to the estimate, first layer first."""

    @abstractmethod
    def kernels(self, scale: int) -> Iterable[tuple[int, nn.Module]]:
        """Every module with kernels, as often as it runs.

        With each: how many times one pixel of x has it computed; a transposed convolution
        computes once for each pixel that it is given, a convolution for each that it gives.
        """

    def check(self, scale: int, alpha: float = 1.0) -> None:
        """Raise `ConfigError` for a scale that is not in `scales` and for an alpha but 1."""
        name = type(self).__name__
        if scale not in self.scales:
            known = ", ".join(map(str, self.scales))
            remedy = f"its scale is {known}" if len(self.scales) == 1 else f"its scales are {known}"
            raise ConfigError(f"scale {scale}: this {name} does not have it; {remedy}")
        if alpha != 1:
            raise ConfigError(f"alpha {alpha}: {name} has no levels to blend; use alpha 1")

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        self.check(scale)
        radius = 0
        for enlargement, own in reversed(self.steps(scale)):
            radius = -(-radius // enlargement) + own
        return max(radius, PHI_RADIUS)

    def multiply_adds(self, scale: int) -> int:
        """Multiply-adds of all convolutions per pixel of x; φ_s is counted in no model."""
        self.check(scale)
        return multiply_adds((module, pixels) for pixels, module in self.kernels(scale))


def conv(channels_in: int, channels_out: int, size: int = 3, bias: bool = True) -> nn.Conv2d:
    """CONV(size, size) that keeps height and width by padding with zeros."""
    return nn.Conv2d(channels_in, channels_out, size, padding=size // 2, bias=bias)

"""The contract of every network that enlarges pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.layouts import Layout
from prosr.scales import Scale


class Network(nn.Module):
    """A network that enlarges by each of its `scales`, built from the frozen `layout`."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.scales: tuple[Scale, ...] = layout.scales

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, 3, H, W] RGB in [0, 1], to ŷ, [N, 3, sH, sW], not clipped.

        `alpha` is the weight of the level for `scale` while the curriculum blends it in (3.4).
        Raises `ConfigError` for a scale or alpha that the network does not have.
        """
        levels_below(self.scales, scale)
        if alpha != 1:
            raise ConfigError(
                f"alpha {alpha}: {type(self).__name__} has no levels to blend; use alpha 1"
            )
        return self.enlarge(x, scale)

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        """`forward` of a network without levels to blend in, for a scale that it has."""
        raise NotImplementedError(f"{type(self).__name__} defines neither forward nor enlarge")

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
            """Declare the type of `forward`, which `nn.Module` does not."""

    def parameter_count(self, scale: int) -> int:
        """Number of parameters that training up to `scale` changes."""
        levels_below(self.scales, scale)
        return sum(parameter.numel() for parameter in self.parameters())


def levels_below(scales: Sequence[int], scale: int, alpha: float = 1.0) -> int:
    """Number of a network's `scales` below `scale`.

    Raises `ConfigError` for a scale that is not among them, for an alpha outside [0, 1],
    and for an alpha below 1 at the first scale, which has no level below to blend with.
    """
    if scale not in scales:
        known = ", ".join(map(str, scales))
        raise ConfigError(f"scale {scale} is not one of this network's scales: {known}")
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha {alpha} is not between 0 and 1")
    if alpha < 1 and scale == scales[0]:
        raise ConfigError(f"alpha {alpha} needs a level below scale {scale}; use alpha 1")
    return scales.index(scale)

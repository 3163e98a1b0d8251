"""The parts of a ProSR generator (3.1, 3.2), and what other nets share with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr.errors import ConfigError

Padding = Literal["reflect", "zeros"]

MEAN_RGB = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K's training pictures, which is taken from the input, in [0, 1]."""

FOLD = True
"""Whether linear layers that follow each other run as one, where that is cheaper. Set to False,
networks run layer by layer as the paper draws them."""


class Conv3x3(nn.Conv2d):
    """CONV(3,3) that keeps height and width, padding one pixel by reflection or zeros.

    An axis of a single pixel has nothing to reflect and repeats that pixel.
    """

    def __init__(self, channels_in: int, channels_out: int, padding: Padding) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1 if padding == "zeros" else 0)
        self.reflects = padding == "reflect"

    def forward(self, x: Tensor) -> Tensor:
        return self.by(x, self.weight, self.bias)

    def by(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve with another kernel, [O, I, 3, 3], and the same padding."""
        y: Tensor = self._conv_forward(_reflect(x) if self.reflects else x, kernel, bias)
        return y


def _reflect(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    if height > 1 and width > 1:
        return F.pad(x, (1, 1, 1, 1), mode="reflect")
    x = F.pad(x, (1, 1, 0, 0), mode="reflect" if width > 1 else "replicate")
    return F.pad(x, (0, 0, 1, 1), mode="reflect" if height > 1 else "replicate")


class DenseLayer(nn.Module):
    """CONV(1,1) → ReLU → CONV(3,3): no batch norm, and no ReLU before the CONV(1,1) (3.2)."""

    def __init__(self, channels_in: int, bottleneck: int, growth: int, padding: Padding) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, bottleneck, 1)
        self.conv = Conv3x3(bottleneck, growth, padding)

    def forward(self, x: Tensor) -> Tensor:
        growth: Tensor = self.conv(self.hidden(x))
        return growth

    def hidden(self, x: Tensor) -> Tensor:
        """The layer without its CONV(3,3)."""
        return F.relu(self.squeeze(x))


class NormalizedDenseLayer(DenseLayer):
    """BN → ReLU → CONV(1,1) → BN → ReLU → CONV(3,3): the original dense layer (3.2)."""

    def __init__(self, channels_in: int, bottleneck: int, growth: int, padding: Padding) -> None:
        super().__init__(channels_in, bottleneck, growth, padding)
        self.norm_in = nn.BatchNorm2d(channels_in)
        self.norm_squeezed = nn.BatchNorm2d(bottleneck)

    def hidden(self, x: Tensor) -> Tensor:
        """The layer without its CONV(3,3)."""
        squeezed = self.squeeze(F.relu(self.norm_in(x)))
        return F.relu(self.norm_squeezed(squeezed))


class DCU(nn.Module):
    """Dense compression unit: dense layers closed by a CONV(1,1) compression (3.2).

    `compressed` is the number of channels it gives, or None to leave out the compression
    and give all of them. With `residual_scale` the result is scaled and added to the
    input, which must then have `compressed` channels: the local residual link. `layer`
    makes the dense layers. `spared` are the multiply-adds per pixel that folding spares.
    """

    def __init__(
        self,
        channels_in: int,
        layers: int,
        growth: int,
        bottleneck: int,
        compressed: int | None,
        padding: Padding,
        residual_scale: float | None = None,
        layer: type[DenseLayer] = DenseLayer,
    ) -> None:
        super().__init__()
        widths = range(channels_in, channels_in + layers * growth, growth)
        self.layers = nn.ModuleList(layer(w, bottleneck, growth, padding) for w in widths)
        dense = channels_in + layers * growth
        self.compression = nn.Conv2d(dense, compressed, 1, bias=False) if compressed else None
        self.channels = compressed or dense
        self.residual_scale = residual_scale
        # With a growth far below `compressed`, the folded CONV(3,3) would cost more.
        folded = growth * compressed - 9 * bottleneck * (compressed - growth) if compressed else 0
        self.spared = max(folded, 0)

    def forward(self, x: Tensor) -> Tensor:
        if FOLD and self.spared:
            return self._folded(x)
        z = x
        for layer in self.layers:
            z = torch.cat((z, layer(z)), dim=1)
        if self.compression is not None:
            z = self.compression(z)
        return z if self.residual_scale is None else x + self.residual_scale * z

    def _folded(self, x: Tensor) -> Tensor:
        """The same function; the last CONV(3,3) gives its share of the compressed channels."""
        *layers, last = cast(list[DenseLayer], list(self.layers))
        z = x
        for layer in layers:
            z = torch.cat((z, layer(z)), dim=1)
        compression = cast(nn.Conv2d, self.compression).weight
        if self.residual_scale is not None:
            compression = self.residual_scale * compression
        of_z, of_last = compression[:, : z.shape[1]], compression[:, z.shape[1] :]
        kernel = torch.einsum("ogyx,gbuv->obuv", of_last, last.conv.weight)
        bias = of_last[:, :, 0, 0] @ cast(Tensor, last.conv.bias)
        y: Tensor = F.conv2d(z, of_z) + last.conv.by(last.hidden(z), kernel, bias)
        return y if self.residual_scale is None else x + y


class SubPixelUpsampler(nn.Module):
    """CONV(3,3) to 4C channels → pixel shuffle → ReLU: C channels at twice the size (3.1)."""

    def __init__(self, channels_in: int, channels_out: int, padding: Padding) -> None:
        super().__init__()
        self.conv = Conv3x3(channels_in, 4 * channels_out, padding)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.pixel_shuffle(self.conv(x), 2))

    def then(self, following: Conv3x3, x: Tensor) -> Tensor:
        """`following` of the result, which is shuffled last where the padding allows it.

        A shuffle of its few channels moves fewer bytes, and 4 times as many of them fill a
        vector. Reflection mirrors other pixels before the shuffle than behind it.
        """
        if not FOLD or following.reflects:
            result: Tensor = following(self(x))
            return result
        kernel = _before_shuffle(following.weight)
        bias = cast(Tensor, following.bias).repeat_interleave(4)
        return F.pixel_shuffle(following.by(F.relu(self.conv(x)), kernel, bias), 2)


_TAPS = torch.tensor(
    [[[2 * step + place - own + 3 for step in (-1, 0, 1)] for place in (0, 1)] for own in (0, 1)]
)
"""Which tap of a kernel of 3, between 2 zeros on each side, a pixel at one of two places has for
those at both places of its own pair and of the pairs beside it."""


def _before_shuffle(kernel: Tensor) -> Tensor:
    """Turn a kernel for shuffled channels, [O, C, 3, 3], into the [4O, 4C, 3, 3] for others."""
    o, c = kernel.shape[:2]
    taps = _TAPS.flatten().to(kernel.device)
    spread = F.pad(kernel, (2, 2, 2, 2))[:, :, taps][:, :, :, taps]
    # o, c, then own place, place and step of rows and of columns
    ordered = spread.view(o, c, 2, 2, 3, 2, 2, 3).permute(0, 2, 5, 1, 3, 6, 4, 7)
    return ordered.reshape(4 * o, 4 * c, 3, 3)


class Level(nn.Module):
    """u: entry compression → DCUs → CONV(3,3) → sub-pixel ×2 upsampler (3.1).

    `entry` compresses the features that come from the level below (from the second level
    on), `cap` limits those that the cascade ends with. The residual link of a very deep
    model goes round all of it but the upsampler.
    """

    def __init__(
        self,
        entry: nn.Conv2d | None,
        dcus: Sequence[DCU],
        cap: nn.Conv2d | None,
        upsampled: int,
        padding: Padding,
        residual: bool,
    ) -> None:
        super().__init__()
        self.entry = entry
        self.dcus = nn.ModuleList(dcus)
        self.cap = cap
        width = cap.out_channels if cap else dcus[-1].channels
        self.conv = Conv3x3(width, width, padding)
        self.upsampler = SubPixelUpsampler(width, upsampled, padding)
        self.residual = residual
        self.radius = sum(len(dcu.layers) for dcu in dcus) + 1

    def forward(self, x: Tensor) -> Tensor:
        return self.upscale(self.cascade(x))

    def cascade(self, x: Tensor) -> Tensor:
        """All but the upsampler, [N, C, H, W] to the same height and width; sees `radius` far."""
        z = x if self.entry is None else self.entry(x)
        for dcu in self.dcus:
            z = dcu(z)
        z = self.conv(z if self.cap is None else self.cap(z))
        result: Tensor = z + x if self.residual else z
        return result

    def upscale(self, z: Tensor) -> Tensor:
        """The upsampler, which sees one pixel far."""
        upscaled: Tensor = self.upsampler(z)
        return upscaled


def levels_below(scales: Sequence[int], scale: int, alpha: float = 1.0) -> int:
    """Number of a network's `scales` below `scale`.

    Raises `ConfigError` for a scale that it does not have, or an alpha that is not
    possible there: where no level is below, there is nothing to blend with.
    """
    if scale not in scales:
        known = ", ".join(map(str, scales))
        raise ConfigError(f"scale {scale} is not one of {known}")
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha {alpha} is not between 0 and 1")
    if alpha < 1 and scale == scales[0]:
        raise ConfigError(f"alpha {alpha} needs a level below scale {scale}; use alpha 1")
    return scales.index(scale)


def multiply_adds(parts: Iterable[tuple[nn.Module, int]]) -> int:
    """Multiply-adds of parts per input pixel, where each runs at so many pixels for one."""
    return sum(pixels * kernel_weights(part) for part, pixels in parts)


def kernel_weights(part: nn.Module) -> int:
    """Number of weights in the kernels of a part as it runs, biases left out."""
    weights = sum(parameter.numel() for parameter in part.parameters() if parameter.dim() == 4)
    return weights - FOLD * sum(dcu.spared for dcu in part.modules() if isinstance(dcu, DCU))


def count_parameters(parts: Iterable[nn.Module]) -> int:
    """Number of values to train in parts that share none."""
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


def draw_he(net: nn.Module, leak: float = 0.0) -> None:
    """Draw all kernels as He et al. do for (leaky) ReLU, and set all biases to 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=leak)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

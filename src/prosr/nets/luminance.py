"""Colour for nets that know luminance alone, and the one RGB ↔ YCbCr of the networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prosr.resample.tensors import as_given, upscale

if TYPE_CHECKING:
    from prosr.nets.baselines.anatomy import Baseline

_FROM_RGB = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_TO_RGB = torch.linalg.inv(torch.tensor(_FROM_RGB, dtype=torch.float64)).tolist()
_OFFSET = (16.0, 128.0, 128.0)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB in [0, 1], [N, 3, H, W] → YCbCr as MATLAB's `rgb2ycbcr` of a double picture.

    Studio swing: Y in [16, 235]/255, Cb and Cr in [16, 240]/255. Nothing is rounded.
    """
    matrix = rgb.new_tensor(_FROM_RGB) / 255
    with as_given(rgb):
        return torch.einsum("oc,nchw->nohw", matrix, rgb) + _offset(rgb)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The inverse of `rgb_to_ycbcr`, not clipped."""
    matrix = ycbcr.new_tensor(_TO_RGB) * 255
    with as_given(ycbcr):
        return torch.einsum("oc,nchw->nohw", matrix, ycbcr - _offset(ycbcr))


def _offset(like: Tensor) -> Tensor:
    return like.new_tensor(_OFFSET).view(1, 3, 1, 1) / 255


class LuminanceModel(nn.Module):
    """A net for luminance made one for colour, as the nets' authors do: chroma is φ_s(x)'s."""

    def __init__(self, net: Baseline) -> None:
        super().__init__()
        self.net = net
        self.scales = net.scales

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, 3, H, W] RGB in [0, 1], to [N, 3, sH, sW], not clipped.

        Raises `ConfigError` for what the net itself refuses.
        """
        ycbcr = rgb_to_ycbcr(x)
        y_hat = self.net(ycbcr[:, :1], scale, alpha).to(ycbcr.dtype)
        return ycbcr_to_rgb(torch.cat((y_hat, upscale(ycbcr[:, 1:], scale)), dim=1))

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        return self.net.receptive_radius(scale)

    def multiply_adds(self, scale: int) -> int:
        """The net's: colour conversion and φ_s are counted in no model."""
        return self.net.multiply_adds(scale)

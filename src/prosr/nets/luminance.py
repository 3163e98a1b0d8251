"""RGB ↔ YCbCr, and colour for networks that enlarge luminance only."""

from __future__ import annotations

import torch
from torch import Tensor

from prosr.nets.network import Network
from prosr.resample.tensors import as_given, upscale

_FROM_RGB = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_TO_RGB = torch.linalg.inv(torch.tensor(_FROM_RGB, dtype=torch.float64)).tolist()
_OFFSET = (16.0, 128.0, 128.0)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Convert RGB in [0, 1], [N, 3, H, W], to YCbCr as MATLAB's `rgb2ycbcr` does for doubles.

    Studio swing: Y in [16, 235]/255, Cb and Cr in [16, 240]/255, not rounded.
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


class LuminanceModel(Network):
    """A network for luminance, used for RGB as its authors do: φ_s enlarges the chroma.

    `net` takes and returns Y, [N, 1, H, W].
    """

    def __init__(self, net: Network) -> None:
        super().__init__(net.layout)
        self.net = net

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        ycbcr = rgb_to_ycbcr(x)
        y_hat = self.net(ycbcr[:, :1], scale, alpha).to(ycbcr.dtype)
        return ycbcr_to_rgb(torch.cat((y_hat, upscale(ycbcr[:, 1:], scale)), dim=1))

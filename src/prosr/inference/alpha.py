"""Colour where a picture is transparent, so that edges are enlarged without fringes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FILL_RADIUS = 8
"""Pixels on each side that a filled pixel's colour can come from."""

_TRUSTED = 1 / 16
"""From this alpha on, a pixel's own colour counts alone."""

_FAINT = 1e-6


def fill_transparent(colour: Tensor, alpha: Tensor) -> Tensor:
    """Give pixels that are (nearly) transparent the colour of visible ones around them.

    `colour` is [1, C, H, W] and `alpha` [1, 1, H, W], both in [0, 1] and not premultiplied.
    What lies under transparent pixels is arbitrary, mostly black or white, and a network
    would smear it over the edge. It becomes the alpha-weighted mean of the neighbourhood,
    or stays where that is transparent too. Where alpha is at least 1/16 the colour comes
    back unchanged, bit for bit.
    """
    trust = (alpha / _TRUSTED).clamp(0, 1)
    weight = _blur(alpha)
    mean = (_blur(alpha * colour) + _FAINT * colour) / (weight + _FAINT)
    return torch.where(trust < 1, trust * colour + (1 - trust) * mean, colour)


def _blur(x: Tensor) -> Tensor:
    """A triangular window of radius 8; what lies outside the picture weighs nothing."""
    taps = torch.arange(1, FILL_RADIUS + 1, dtype=x.dtype, device=x.device)
    taps = (
        torch.cat((taps, taps.new_tensor([FILL_RADIUS + 1]), taps.flip(0))) / (FILL_RADIUS + 1) ** 2
    )
    n, c, h, w = x.shape
    planes = x.reshape(n * c, 1, h, w)
    planes = F.conv2d(planes, taps.view(1, 1, -1, 1), padding=(FILL_RADIUS, 0))
    planes = F.conv2d(planes, taps.view(1, 1, 1, -1), padding=(0, FILL_RADIUS))
    return planes.reshape(n, c, h, w)

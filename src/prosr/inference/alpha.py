"""Fills colour under transparent pixels, so that enlarged edges have no fringes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FILL_RADIUS = 8
"""Radius in pixels of the neighbourhood that determines a filled pixel's colour."""

_OPAQUE = 1 / 16
"""At and above this alpha, a pixel keeps its own colour."""

_FAINT = np.float32(1e-6)


def fill_transparent(
    colour: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Fill (nearly) transparent pixels with the colour of visible pixels around them.

    `colour` is [H, W, C] and `alpha` [H, W, 1], both in [0, 1] and not premultiplied. Transparent
    pixels hold arbitrary colours, mostly black or white, which a network would smear over the edge.
    They get the alpha-weighted mean of the neighbourhood, or keep their colour if it is all
    transparent. Where alpha is at least 1/16, the colour is unchanged, bit for bit.
    """
    own = np.clip(alpha / np.float32(_OPAQUE), 0, 1)
    if (own == 1).all():
        return colour
    mean = (_blur(alpha * colour) + _FAINT * colour) / (_blur(alpha) + _FAINT)
    return np.where(own < 1, own * colour + (1 - own) * mean, colour).astype(np.float32)


def _blur(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A triangular window of radius 8; pixels outside the picture have weight 0."""
    side = FILL_RADIUS + 1
    taps = side - np.abs(np.arange(-FILL_RADIUS, FILL_RADIUS + 1))
    for axis in (0, 1):
        length = x.shape[axis]
        around = [(FILL_RADIUS, FILL_RADIUS) if axis == dim else (0, 0) for dim in range(3)]
        padded, total = np.pad(x, around), np.zeros_like(x)
        for offset, tap in enumerate(taps):
            window = np.take(padded, np.arange(offset, offset + length), axis)
            total += np.float32(tap / side**2) * window
        x = total
    return x

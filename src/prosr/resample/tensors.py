"""The one bicubic for tensors: differentiable, on any device, with the taps of `prosr.resample`.

It consists of shifted copies, multiplied by a tap each and added. A convolution with the same
taps would be as fast, but autocast and OpenVINO would compute it in bfloat16, which has steps
of a whole 8-bit level above 0.5. Sums of products stay in the pictures' own precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from prosr.resample import PHI_RADIUS, phase_taps, reduction_taps
from prosr.scales import check_scale


def upscale(x: Tensor, scale: int) -> Tensor:
    """φ_s(x), plain bicubic enlargement straight to `scale` (Eq. 2).

    x is [N, C, H, W], floating point, H and W at least 1; the result is [N, C, sH, sW]
    and may leave x's range where the kernel overshoots. Each output pixel is one of s
    phases between two input pixels.
    """
    check_scale(scale)
    return _upscale_axis(_upscale_axis(x, scale, 2), scale, 3)


def downscale(y: Tensor, scale: int) -> Tensor:
    """ψ(y), antialiased bicubic reduction (4.2), the same as `prosr.resample.imresize_double`.

    y is [N, C, H, W], floating point; the result is [N, C, ⌈H/s⌉, ⌈W/s⌉], not rounded. As
    scales are even, all output pixels have the same taps.
    """
    check_scale(scale)
    return _downscale_axis(_downscale_axis(y, scale, 2), scale, 3)


def make_input(y: Tensor, scale: int) -> Tensor:
    """`prosr.resample.make_input` on the device of y, bit for bit; y is [H, W, C] in uint8.

    Rows and columns beyond a multiple of the scale are left out. The order of sums does not
    matter: float64 holds all sums of 8-bit pixels and these taps exactly.
    """
    height, width = (length // scale * scale for length in y.shape[:2])
    z = y[:height, :width].double()
    for axis in (0, 1):
        z = _downscale_axis(z, scale, axis)
        if axis or scale < 8:
            z = torch.floor(z.clamp(0, 255) + 0.5)
    return z.byte()


def back_project(y_hat: Tensor, x: Tensor, scale: int, iterations: int) -> Tensor:
    """Make ŷ consistent with x: repeat ŷ ← ŷ + φ_s(x − ψ_s(ŷ)).

    x is [N, C, H, W] and ŷ [N, C, sH, sW]. The correction has no finer detail than x: it restores
    the input's colours and brightness. Irani and Peleg, Improving resolution by image registration
    (1991).
    """
    for _ in range(iterations):
        y_hat = y_hat + upscale(x - downscale(y_hat, scale), scale)
    return y_hat


def as_given(pictures: Tensor) -> AbstractContextManager[object]:
    """Turn autocast off for the pictures' device."""
    device = pictures.device.type
    # Used only if autocast is on, since a traced graph cannot contain this block.
    is_on = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if is_on else nullcontext()


def _upscale_axis(x: Tensor, scale: int, dim: int) -> Tensor:
    length, padded = x.shape[dim], _pad_symmetric(x, dim, PHI_RADIUS, PHI_RADIUS)
    shifted = [padded.narrow(dim, tap, length) for tap in range(2 * PHI_RADIUS + 1)]
    phases = [_weighted_sum(shifted, taps) for taps in phase_taps(scale)]
    return torch.stack(phases, dim + 1).flatten(dim, dim + 1)


def _downscale_axis(y: Tensor, scale: int, dim: int) -> Tensor:
    length, margin = y.shape[dim], 3 * scale // 2
    padded = _pad_symmetric(y, dim, margin, margin + -length % scale)
    around = padded.shape
    groups = padded.reshape(*around[:dim], -1, scale, *around[dim + 1 :])
    count = (length + scale - 1) // scale
    taps = torch.tensor(reduction_taps(scale), dtype=y.dtype, device=y.device).view(4, scale)
    shape = [scale if axis == dim + 1 else 1 for axis in range(groups.dim())]
    # Four groups of s pixels each make an output pixel.
    sums = [
        (groups.narrow(dim, first, count) * part.view(shape)).sum(dim + 1)
        for first, part in enumerate(taps)
    ]
    total: Tensor = sums[0] + sums[1] + sums[2] + sums[3]
    return total


def _weighted_sum(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = torch.zeros_like(values[0])
    for value, weight in zip(values, weights, strict=True):
        if weight:
            total = total + weight * value
    return total


def _pad_symmetric(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Mirror this many pixels at the ends of `dim`, the outermost pixel included.

    The indices are tensors, so that a traced graph accepts axes of any length.
    """
    length = x.shape[dim]
    index = torch.arange(-before, length + after, device=x.device) % (2 * length)
    return x.index_select(dim, torch.minimum(index, 2 * length - 1 - index))

"""The one bicubic for tensors: differentiable, on any device, with the taps of `prosr.resample`.

Autocast does not apply here: above 0.5, bfloat16 has steps of a whole 8-bit level.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr.layouts import check_scale
from prosr.resample import PHI_RADIUS, mirrored_indices, phase_taps, reduction_taps


def upscale(x: Tensor, scale: int) -> Tensor:
    """φ_s(x), plain bicubic enlargement straight to `scale` (Eq. 2), differentiable.

    x is [N, C, H, W], floating point, H and W at least 1; the result is [N, C, sH, sW]
    and may leave x's range where the kernel overshoots. Each output pixel is one of s
    phases between two input pixels, so an axis is one convolution with s filters.
    """
    s = check_scale(scale)
    n, c, h, w = x.shape
    taps = torch.tensor(phase_taps(s), dtype=x.dtype, device=x.device)
    x = _pad_symmetric(_pad_symmetric(x, 2), 3)
    with as_given(x):
        rows = F.conv2d(x.reshape(n * c, 1, h + 4, w + 4), taps[:, None, :, None])
        rows = rows.transpose(1, 2).reshape(n * c, 1, s * h, w + 4)
        columns = F.conv2d(rows, taps[:, None, None, :])
    return columns.permute(0, 2, 3, 1).reshape(n, c, s * h, s * w)


def downscale(y: Tensor, scale: int) -> Tensor:
    """ψ(y): `imresize_double` for tensors, antialiased bicubic reduction, differentiable (4.2).

    y is [N, C, H, W], floating point; the result is [N, C, ⌈H/s⌉, ⌈W/s⌉], not rounded. As
    scales are even, all output pixels have the same taps.
    """
    s = check_scale(scale)
    n, c, h, w = y.shape
    taps = torch.tensor(reduction_taps(s), dtype=y.dtype, device=y.device)
    margin = 3 * s // 2
    y = _pad_symmetric(y, 2, margin, margin + -h % s)
    y = _pad_symmetric(y, 3, margin, margin + -w % s)
    with as_given(y):
        rows = F.conv2d(y.reshape(n * c, 1, *y.shape[2:]), taps[None, None, :, None], stride=(s, 1))
        x = F.conv2d(rows, taps[None, None, None, :], stride=(1, s))
    return x.reshape(n, c, -(-h // s), -(-w // s))


def back_project(y_hat: Tensor, x: Tensor, scale: int, iterations: int) -> Tensor:
    """Make ŷ agree with x: ŷ ← ŷ + φ_s(x − ψ_s(ŷ)), so many times, differentiable.

    x is [N, C, H, W] and ŷ [N, C, sH, sW]. What is added has no detail finer than x's: it
    brings back the input's colours and brightness. Irani and Peleg, Improving resolution by
    image registration (1991).
    """
    for _ in range(iterations):
        y_hat = y_hat + upscale(x - downscale(y_hat, scale), scale)
    return y_hat


def as_given(pictures: Tensor) -> AbstractContextManager[object]:
    """Compute in the pictures' own precision, whatever autocast says of convolutions."""
    device = pictures.device.type
    # Entered only where it does something: a traced graph has no such block.
    is_on = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if is_on else nullcontext()


def _pad_symmetric(
    x: Tensor, dim: int, before: int = PHI_RADIUS, after: int = PHI_RADIUS
) -> Tensor:
    """Mirror so many pixels at the ends of `dim`, the outermost pixel included."""
    length = x.shape[dim]
    if length >= max(before, after):
        head = x.narrow(dim, 0, before).flip(dim)
        tail = x.narrow(dim, length - after, after).flip(dim)
        return torch.cat((head, x, tail), dim)
    mirrored = torch.from_numpy(mirrored_indices(length, before, after))
    return x.index_select(dim, mirrored.to(x.device))

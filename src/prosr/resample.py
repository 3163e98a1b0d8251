"""The one bicubic (Keys, a = −0.5), as MATLAB's `imresize` computes it.

Downscaling is antialiased: the kernel is stretched by the scale. Upscaling is plain and
is the paper's φ_s. Borders are symmetric: … b a | a b c … Nothing else in this package
resamples pictures, but for the views in which a net of features sees them. Autocast does
not reach in here: above 0.5, bfloat16 has steps of a whole 8-bit level.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from prosr.errors import ConfigError
from prosr.layouts import check_scale

PHI_RADIUS = 2
"""Pixels of x on each side that one pixel of φ_s(x) depends on."""

BACK_PROJECTION_RADIUS = 2 * PHI_RADIUS
"""By how many pixels of x each iteration of `back_project` widens what a pixel depends on:
φ_s reaches two, and the ψ_s(ŷ) there two more."""


def keys_cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = −0.5, support [−2, 2]."""
    t = np.abs(t)
    t2, t3 = t**2, t**3
    inner = 1.5 * t3 - 2.5 * t2 + 1
    outer = -0.5 * t3 + 2.5 * t2 - 4 * t + 2
    return inner * (t <= 1) + outer * ((t > 1) & (t <= 2))


def upscale(x: torch.Tensor, scale: int) -> torch.Tensor:
    """φ_s(x), plain bicubic enlargement straight to `scale` (Eq. 2), differentiable.

    x is [N, C, H, W], floating point, H and W at least 1; the result is [N, C, sH, sW]
    and may leave x's range where the kernel overshoots. Each output pixel is one of s
    phases between two input pixels, so an axis is one convolution with s filters.
    """
    s = check_scale(scale)
    n, c, h, w = x.shape
    taps = torch.tensor(_phase_taps(s), dtype=x.dtype, device=x.device)
    x = _pad_symmetric(_pad_symmetric(x, 2), 3)
    with as_given(x):
        rows = F.conv2d(x.reshape(n * c, 1, h + 4, w + 4), taps[:, None, :, None])
        rows = rows.transpose(1, 2).reshape(n * c, 1, s * h, w + 4)
        columns = F.conv2d(rows, taps[:, None, None, :])
    return columns.permute(0, 2, 3, 1).reshape(n, c, s * h, s * w)


def downscale(y: torch.Tensor, scale: int) -> torch.Tensor:
    """ψ(y): `imresize_double` for tensors, antialiased bicubic reduction, differentiable (4.2).

    y is [N, C, H, W], floating point; the result is [N, C, ⌈H/s⌉, ⌈W/s⌉], not rounded. As
    scales are even, all output pixels have the same taps.
    """
    s = check_scale(scale)
    n, c, h, w = y.shape
    taps = torch.tensor(_reduction_taps(s), dtype=y.dtype, device=y.device)
    margin = 3 * s // 2
    y = _pad_symmetric(y, 2, margin, margin + -h % s)
    y = _pad_symmetric(y, 3, margin, margin + -w % s)
    with as_given(y):
        rows = F.conv2d(y.reshape(n * c, 1, *y.shape[2:]), taps[None, None, :, None], stride=(s, 1))
        x = F.conv2d(rows, taps[None, None, None, :], stride=(1, s))
    return x.reshape(n, c, -(-h // s), -(-w // s))


def back_project(y_hat: torch.Tensor, x: torch.Tensor, scale: int, iterations: int) -> torch.Tensor:
    """Make ŷ agree with x: ŷ ← ŷ + φ_s(x − ψ_s(ŷ)), so many times, differentiable.

    x is [N, C, H, W] and ŷ [N, C, sH, sW]. What is added has no detail finer than x's: it
    brings back the input's colours and brightness. Irani and Peleg, Improving resolution by
    image registration (1991).
    """
    for _ in range(iterations):
        y_hat = y_hat + upscale(x - downscale(y_hat, scale), scale)
    return y_hat


def imresize_uint8(y: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Reduce as MATLAB's `imresize(y, 1/scale)` does for a uint8 picture.

    y is [H, W] or [H, W, C]. Rows are reduced first, and each pass rounds to uint8: the
    family of the usual ×2 and ×4 benchmark inputs.
    """
    if y.dtype != np.uint8:
        raise ConfigError(f"imresize_uint8 takes uint8 pixels, not {y.dtype}")
    for axis in (0, 1):
        y = to_uint8(_reduce_axis(y.astype(np.float64), scale, axis))
    return y


def imresize_double(y: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """Reduce as MATLAB's `imresize(y, 1/scale)` does for a picture of doubles.

    y is [H, W] or [H, W, C] in any units; nothing is rounded or clipped.
    """
    y = np.asarray(y, dtype=np.float64)
    return _reduce_axis(_reduce_axis(y, scale, 0), scale, 1)


def make_input(y: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """The benchmark input x for the truth y, [H, W(, C)] with H and W multiples of s.

    Published ×2 and ×4 inputs come from uint8 pictures, ×8 ones from doubles with one
    rounding at the end; both are reproduced bit for bit.
    """
    s = check_scale(scale)
    height, width = y.shape[:2]
    if height % s or width % s or not height or not width:
        raise ConfigError(f"a picture of {width}×{height} is not a multiple of {s}; crop it first")
    return to_uint8(imresize_double(y.astype(np.float64), s)) if s == 8 else imresize_uint8(y, s)


def to_uint8(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Clip to 0…255 and round halves up, as MATLAB's `uint8` does for positive numbers."""
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)


def as_given(pictures: torch.Tensor) -> AbstractContextManager[object]:
    """Compute in the pictures' own precision, whatever autocast says of convolutions."""
    device = pictures.device.type
    # Entered only where it does something: a traced graph has no such block.
    is_on = torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if is_on else nullcontext()


@lru_cache
def _phase_taps(scale: int) -> list[list[float]]:
    """Weights of the five nearest input pixels, for each of `scale` output phases."""
    offsets = (np.arange(scale) + 0.5) / scale - 0.5
    taps = keys_cubic(np.arange(-PHI_RADIUS, PHI_RADIUS + 1)[None] - offsets[:, None])
    rows: list[list[float]] = (taps / taps.sum(axis=1, keepdims=True)).tolist()
    return rows


def _pad_symmetric(
    x: torch.Tensor, dim: int, before: int = PHI_RADIUS, after: int = PHI_RADIUS
) -> torch.Tensor:
    """Mirror so many pixels at the ends of `dim`, the outermost pixel included."""
    length = x.shape[dim]
    if length >= max(before, after):
        head = x.narrow(dim, 0, before).flip(dim)
        tail = x.narrow(dim, length - after, after).flip(dim)
        return torch.cat((head, x, tail), dim)
    index = np.arange(-before, length + after) % (2 * length)
    mirrored = np.where(index < length, index, 2 * length - 1 - index)
    return x.index_select(dim, torch.from_numpy(mirrored).to(x.device))


@lru_cache(maxsize=64)
def _reduction(length: int, scale: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """MATLAB's `contributions`: weights and source indices, [ceil(length/s), taps]."""
    out = -(-length // scale)
    centre = (np.arange(out) + 0.5) * scale - 0.5
    width = 4 * scale
    first = np.floor(centre - width / 2).astype(np.intp)
    index = first[:, None] + np.arange(width + 2)
    weights = keys_cubic((centre[:, None] - index) / scale) / scale
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    mirrored = np.concatenate((np.arange(length), np.arange(length)[::-1]))
    return weights[:, used], mirrored[index[:, used] % (2 * length)]


@lru_cache
def _reduction_taps(scale: int) -> list[float]:
    """Weights of the 4s pixels around the middle of an output pixel."""
    t = (np.arange(4 * scale) + 0.5) / scale - 2
    taps = keys_cubic(t)
    weights: list[float] = (taps / taps.sum()).tolist()
    return weights


def _reduce_axis(y: NDArray[np.float64], scale: int, axis: int) -> NDArray[np.float64]:
    """Reduce one axis; taps are added one after another, in MATLAB's order."""
    weights, index = _reduction(y.shape[axis], scale)
    shape = [1] * y.ndim
    shape[axis] = -1
    reduced = np.zeros(())
    for tap in range(weights.shape[1]):
        reduced = reduced + weights[:, tap].reshape(shape) * np.take(y, index[:, tap], axis)
    return reduced

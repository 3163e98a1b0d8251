"""The one bicubic (Keys, a = −0.5), as MATLAB's `imresize` computes it.

Downscaling is antialiased: the kernel is stretched by the scale. Upscaling is plain and is the
paper's φ_s. Borders are symmetric: … b a | a b c … This package has the taps and the functions for
arrays; `prosr.resample.tensors` has those for PyTorch, with gradients.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError
from prosr.scales import check_scale

PHI_RADIUS = 2
"""Pixels of x on each side that one pixel of φ_s(x) depends on."""

Float = TypeVar("Float", np.float32, np.float64)


def keys_cubic(t: NDArray[np.float64], a: float = -0.5) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with parameter `a`, support [−2, 2]."""
    t = np.abs(t)
    t2, t3 = t**2, t**3
    inner = (a + 2) * t3 - (a + 3) * t2 + 1
    outer = a * t3 - 5 * a * t2 + 8 * a * t - 4 * a
    return inner * (t <= 1) + outer * ((t > 1) & (t <= 2))


@lru_cache
def phase_taps(scale: int) -> tuple[tuple[float, ...], ...]:
    """Weights of the five nearest input pixels, for each of `scale` output phases."""
    offsets = (np.arange(scale) + 0.5) / scale - 0.5
    taps = keys_cubic(np.arange(-PHI_RADIUS, PHI_RADIUS + 1)[None] - offsets[:, None])
    return tuple(map(tuple, (taps / taps.sum(axis=1, keepdims=True)).tolist()))


@lru_cache
def reduction_taps(scale: int) -> tuple[float, ...]:
    """Weights of the 4s input pixels around the middle of an output pixel."""
    t = (np.arange(4 * scale) + 0.5) / scale - 2
    taps = keys_cubic(t)
    return tuple((taps / taps.sum()).tolist())


def mirrored_indices(length: int, before: int, after: int) -> NDArray[np.intp]:
    """Indices that extend an axis of `length` by mirroring, the outermost pixel included."""
    index = np.arange(-before, length + after) % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)


def upscale(x: NDArray[Float], scale: int) -> NDArray[Float]:
    """φ_s(x), plain bicubic enlargement straight to `scale` (Eq. 2).

    x is [..., H, W], float32 or float64, H and W at least 1; the result is [..., sH, sW]
    and may leave x's range where the kernel overshoots.
    """
    for axis in (-2, -1):
        x = resize_axis(x, axis, check_scale(scale) * x.shape[axis])
    return x


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
    """The benchmark input x for the ground truth y, [H, W(, C)] with H and W multiples of s.

    Published ×2, ×3 and ×4 inputs come from uint8 pictures, ×8 ones from doubles with one
    rounding at the end; both are reproduced bit for bit.
    """
    s = scale
    height, width = y.shape[:2]
    if height % s or width % s or not height or not width:
        raise ConfigError(f"a picture of {width}×{height} is not a multiple of {s}; crop it first")
    return to_uint8(imresize_double(y.astype(np.float64), s)) if s == 8 else imresize_uint8(y, s)


def to_uint8(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Clip to 0…255 and round halves up, as MATLAB's `uint8` does for positive numbers."""
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)


def resize_axis(
    y: NDArray[Float],
    axis: int,
    out: int,
    factor: float | None = None,
    part: tuple[int, int, int, int] | None = None,
) -> NDArray[Float]:
    """Resize one axis of `y` to `out` pixels, antialiased if they are fewer; MATLAB's `imresize`.

    `factor` is the number of old pixels for a new one, by default their quotient. If `y` is part of
    a picture, `part` is the whole length of the axis, the first pixel that `y` has, and the start
    and stop of the new pixels. Each pixel is the same in every part, because its taps are added one
    after another, in MATLAB's order.
    """
    length, first, start, stop = part or (y.shape[axis], 0, 0, out)
    weights, index = _contributions(length, out, factor or length / out)
    shape = [1] * y.ndim
    shape[axis] = -1
    resized = np.zeros((), y.dtype)
    for tap in range(weights.shape[1]):
        weight = weights[start:stop, tap].astype(y.dtype).reshape(shape)
        resized = resized + weight * np.take(y, index[start:stop, tap] - first, axis)
    return resized


@lru_cache(maxsize=64)
def _contributions(
    length: int, out: int, factor: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """MATLAB's `contributions`: weights and indices of old pixels, [out, taps]."""
    stretch = max(factor, 1.0)
    centre = (np.arange(out) + 0.5) * factor - 0.5
    width = 4 * stretch
    first = np.floor(centre - width / 2).astype(np.intp)
    index = first[:, None] + np.arange(math.ceil(width) + 2)
    weights = keys_cubic((centre[:, None] - index) / stretch) / stretch
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    return weights[:, used], mirrored_indices(length, 0, length)[index[:, used] % (2 * length)]


def _reduce_axis(y: NDArray[np.float64], scale: int, axis: int) -> NDArray[np.float64]:
    return resize_axis(y, axis, -(-y.shape[axis] // scale), scale)

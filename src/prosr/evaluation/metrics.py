"""Pixel metrics as super-resolution papers compute them, in numpy and double precision.

Pictures are [H, W] or [H, W, C]. `data_range` is the difference between white and black in the
picture's units: 255 for 8-bit values, 1 for fractions. It has no default.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError

Picture = NDArray[Any]
Float = NDArray[np.float64]

SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
# BT.601 studio swing as in MATLAB's rgb2ycbcr: R, G, B in [0, 1], Y in 8-bit units.
_LUMA_OFFSET, _LUMA_WEIGHTS = 16.0, (65.481, 128.553, 24.966)


def rgb_to_y(rgb: Picture, *, data_range: float) -> Float:
    """Luminance of an RGB picture, [H, W, 3] → [H, W], like MATLAB's `rgb2ycbcr` of doubles.

    BT.601 studio swing: black is 16/255 and white 235/255 of `data_range`, so that 8-bit
    pixels (`data_range=255`) give 16…235. The result is not rounded. Rounding it to 8 bits, as
    `rgb2ycbcr` does for uint8 pictures, lowers published scores by 0.01 to 0.1 dB.
    """
    _check_range(data_range, rgb)
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ConfigError(f"luminance needs [H, W, 3] pixels, not {list(rgb.shape)}")
    rgb = np.asarray(rgb, dtype=np.float64)
    offset = _LUMA_OFFSET / 255 * data_range
    y: Float = offset + rgb @ (np.array(_LUMA_WEIGHTS) / 255)
    return y


def crop_border(picture: Picture, border: int) -> Picture:
    """A view of `picture` without `border` pixels on each side."""
    height, width = picture.shape[:2]
    if border < 0 or min(height, width) <= 2 * border:
        raise ConfigError(
            f"cannot crop {border} pixels from each side of {width}×{height}; "
            f"at least {2 * border + 1} are needed"
        )
    return picture[border : height - border, border : width - border]


def psnr(a: Picture, b: Picture, *, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; `inf` for equal pictures.

    a and b have the same shape and are both integer or both floating point. A NaN in either
    makes the result NaN.
    """
    _check_pair(a, b, data_range)
    error = np.mean(np.square(np.asarray(a, np.float64) - np.asarray(b, np.float64)))
    return math.inf if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(a: Picture, b: Picture, *, data_range: float) -> float:
    """Mean structural similarity (Wang et al. 2004), averaged over channels.

    11×11 Gaussian window with σ = 1.5 and unit sum, K1 = 0.01, K2 = 0.03, no sample correction,
    only at positions where the window fits. Each side must have at least 11 pixels.
    """
    _check_pair(a, b, data_range)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ConfigError(
            f"SSIM needs at least {SSIM_WINDOW}×{SSIM_WINDOW} pixels, not {a.shape[1]}×{a.shape[0]}"
        )
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    mean_a, mean_b, mean_ab, mean_squares = (
        gaussian_mean(values, SSIM_WINDOW, _SSIM_SIGMA) for values in (a, b, a * b, a * a + b * b)
    )
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance, variances = mean_ab - product, mean_squares - squares
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    index = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return float(np.mean(index))


def gaussian_mean(picture: Float, side: int, sigma: float) -> Float:
    """Mean around each pixel of [H, W, …], weighted by a Gaussian window with unit sum.

    Only where the window of side×side pixels fits: [H - side + 1, W - side + 1, …]. The order
    of the sum is fixed: rounding errors decide signs in flat areas, and with them NIQE's third
    digit.
    """
    taps = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    for axis in (0, 1):
        lines = np.moveaxis(picture, axis, 0)
        length = len(lines) - side + 1
        total = taps[0] * lines[:length]
        for k in range(1, side):
            total += taps[k] * lines[k : k + length]
        picture = np.moveaxis(total, 0, axis)
    return picture


def _check_pair(a: Picture, b: Picture, data_range: float) -> None:
    if a.shape != b.shape:
        raise ConfigError(f"pictures differ in shape: {list(a.shape)} and {list(b.shape)}")
    if a.ndim not in (2, 3) or not a.size:
        raise ConfigError(f"a picture is [H, W] or [H, W, C] and not empty, not {list(a.shape)}")
    if np.issubdtype(a.dtype, np.floating) != np.issubdtype(b.dtype, np.floating):
        raise ConfigError(f"pictures differ in kind: {a.dtype} and {b.dtype}; convert one first")
    _check_range(data_range, a, b)


def _check_range(data_range: float, *pictures: Picture) -> None:
    if not (math.isfinite(data_range) and data_range > 0):
        raise ConfigError(f"data range {data_range} is not a positive number")
    for picture in pictures:
        # Floating-point estimates may overshoot; integers above white mean a wrong range.
        if np.issubdtype(picture.dtype, np.integer) and picture.size:
            top = int(picture.max())
            if top > data_range:
                raise ConfigError(
                    f"{picture.dtype} pixels reach {top}, above data range {data_range:g}"
                )

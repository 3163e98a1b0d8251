"""NIQE: naturalness of a picture without its ground truth (Mittal et al., SPL 2013).

Locally normalized pixels of sharp photographs have similar distributions. NIQE fits these
distributions in patches of a picture, and measures the distance to those of sharp training
pictures. Lower is more natural. docs/fit_niqe.py fitted our own parameters, so scores are
comparable only with each other.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prosr.errors import DataError
from prosr.evaluation.metrics import Float, gaussian_mean, rgb_to_y
from prosr.resample import imresize_double

PATCH = 96
_WINDOW, _SIGMA = 7, 7 / 6
_PARAMETERS = Path(str(files("prosr") / "evaluation" / "niqe.npz"))
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10, 0.001)


def niqe(pixels: NDArray[np.uint8]) -> float:
    """NIQE of an RGB picture, [H, W, 3], in whole patches from the top left corner.

    Raises `DataError` if fewer than two patches of 96×96 are not flat.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        features, _ = patch_features(pixels)
    whole = features[np.isfinite(features).all(axis=1)]
    if len(whole) < 2:
        size, flat = f"{pixels.shape[1]}×{pixels.shape[0]}", len(features) - len(whole)
        besides = f" with {flat} flat patches" if flat else ""
        raise DataError(f"NIQE needs two patches of {PATCH}×{PATCH} pixels, not {size}{besides}")
    mean, covariance, _ = _parameters()
    difference = mean - np.nanmean(features, axis=0)
    pooled = (covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def fitted_to() -> str:
    """The pictures that the parameters were fitted to, for a table's caption."""
    return _parameters()[2]


def patch_features(pixels: NDArray[np.uint8]) -> tuple[Float, Float]:
    """36 features of each patch, [patches, 36], and its sharpness, [patches]."""
    y = rgb_to_y(pixels, data_range=255)
    rows, columns = (length // PATCH for length in y.shape)
    y = y[: rows * PATCH, : columns * PATCH]
    if not y.size:
        return np.empty((0, 36)), np.empty(0)
    coefficients, deviation = _normalized(y)
    sharpness = _blocks(deviation, PATCH).mean(axis=(1, 2))
    half, _ = _normalized(imresize_double(y, 2))
    both = zip(_blocks(coefficients, PATCH), _blocks(half, PATCH // 2), strict=True)
    return np.array([_features(whole) + _features(halved) for whole, halved in both]), sharpness


@lru_cache(maxsize=1)
def _parameters() -> tuple[Float, Float, str]:
    """Mean and covariance of the features of sharp photographs, and their origin."""
    with np.load(_PARAMETERS) as stored:
        return stored["mean"], stored["covariance"], str(stored["about"])


def _normalized(y: Float) -> tuple[Float, Float]:
    """(y - local mean) / (local deviation + 1), and the local deviation."""
    mean = _gaussian(y)
    deviation = np.sqrt(np.abs(_gaussian(y * y) - mean * mean))
    return (y - mean) / (deviation + 1), deviation


def _gaussian(y: Float) -> Float:
    """Mean around each pixel; edges are repeated outwards."""
    return gaussian_mean(np.pad(y, _WINDOW // 2, mode="edge"), _WINDOW, _SIGMA)


def _blocks(values: Float, side: int) -> Float:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    blocks = values.reshape(rows, side, columns, side).swapaxes(1, 2)
    return blocks.reshape(rows * columns, side, side)


def _features(block: Float) -> list[float]:
    """Fits to the coefficients, and to their products with neighbours in four directions."""
    shape, _, left, right = _fit_asymmetric(block)
    features = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        features += _fit_asymmetric(block * np.roll(block, shift, axis=(0, 1)))[:4]
    return features


def _fit_asymmetric(values: Float) -> tuple[float, float, float, float]:
    """Fit an asymmetric generalized Gaussian: shape, mean, left scale, right scale."""
    negative, positive = values[values < 0], values[values > 0]
    if not len(negative) or not len(positive):
        return (math.nan,) * 4
    left, right = (float(np.sqrt(np.mean(side**2))) for side in (negative, positive))
    ratio = left / right
    moments = float(np.mean(np.abs(values)) ** 2 / np.mean(values**2))
    moments *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    ratios, spreads, means = _shape_tables()
    i = int(np.argmin((ratios - moments) ** 2))
    mean = (right - left) * means[i]
    return float(_SHAPES[i]), float(mean), left * spreads[i], right * spreads[i]


@lru_cache(maxsize=1)
def _shape_tables() -> tuple[Float, Float, Float]:
    """For each shape: E|v|² / E v², scale / deviation, and mean / difference of the sides."""
    one, two, three = (
        np.array([math.lgamma(order / shape) for shape in _SHAPES]) for order in (1, 2, 3)
    )
    spread = np.exp((one - three) / 2)
    return np.exp(2 * two - one - three), spread, np.exp(two - one) * spread

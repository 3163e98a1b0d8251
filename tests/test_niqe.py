"""NIQE: fits recover known parameters, and degraded photographs score higher."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from prosr.errors import DataError
from prosr.evaluation import niqe


def test_fits_recover_the_shape_of_a_distribution() -> None:
    rng = np.random.default_rng(0)
    for values, shape in ((rng.normal(size=40_000), 2.0), (rng.laplace(size=40_000), 1.0)):
        found, mean, left, right = niqe._fit_asymmetric(values)
        assert found == pytest.approx(shape, rel=0.05)
        assert mean == pytest.approx(0, abs=0.02)
        assert left == pytest.approx(right, rel=0.03)


def test_fits_recover_the_scales_of_both_sides() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=40_000)
    values[values > 0] *= 3
    values = np.concatenate((values, 3 * np.abs(rng.normal(size=40_000))))
    _, mean, left, right = niqe._fit_asymmetric(values)
    assert right == pytest.approx(3 * left, rel=0.05)
    assert mean > 0


def test_a_picture_has_36_features_for_each_whole_patch() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    features, _ = niqe.patch_features(pixels)
    assert features.shape == (2 * 3, 36)
    assert np.isfinite(features).all()


def test_noise_is_sharper_than_a_flat_patch() -> None:
    pixels = np.full((96, 192, 3), 128, np.uint8)
    pixels[:, 96:] = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    _, (flat, noise) = niqe.patch_features(pixels)
    assert flat < 0.1 * noise


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(DataError, match="needs two patches of 96×96 pixels, not 100×150"):
        niqe.niqe(np.zeros((150, 100, 3), np.uint8))


@pytest.mark.parametrize("patches", [0, 1])
def test_flat_patches_do_not_count(patches: int) -> None:
    pixels = np.full((200, 200, 3), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96 * patches, 3), np.uint8)
    pixels[:96, : 96 * patches] = noise
    with pytest.raises(DataError, match=f"not 200×200 with {4 - patches} flat patches"):
        niqe.niqe(pixels)


def test_the_parameters_name_the_pictures_they_were_fitted_to() -> None:
    mean, covariance, _ = niqe._parameters()
    assert mean.shape == (36,)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert "patches" in niqe.fitted_to()


def test_noise_on_a_photograph_makes_it_less_natural() -> None:
    pixels: NDArray[np.uint8] = data.astronaut()[:384, :384]  # type: ignore[no-untyped-call]
    noise = np.random.default_rng(0).normal(0, 25, pixels.shape)
    noisy = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    blurred = pixels.astype(np.float64)
    for axis in (0, 1):
        blurred = np.mean([np.roll(blurred, i, axis) for i in range(-3, 4)], axis=0)
    scores = [niqe.niqe(p) for p in (pixels, noisy, blurred.astype(np.uint8))]
    assert scores[0] < min(scores[1:])

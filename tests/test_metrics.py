"""Metrics agree with scikit-image, and with published scores of published pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from prosr.errors import ConfigError
from prosr.evaluation.metrics import crop_border, psnr, rgb_to_y, ssim

PUBLISHED_RCAN = {2: ("38.27", "0.9614"), 4: ("32.63", "0.9002"), 8: ("27.31", "0.7878")}


def noisy_pair(channels: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    random = np.random.default_rng(7)
    a = random.integers(0, 256, (23, 31, channels))
    b = np.clip(a + random.integers(-20, 21, a.shape), 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_psnr_agrees_with_scikit_image() -> None:
    a, b = noisy_pair()
    oracle: Any = peak_signal_noise_ratio
    expected = oracle(a, b, data_range=255)
    assert psnr(a, b, data_range=255) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_scikit_image(channels: int) -> None:
    a, b = noisy_pair(channels)
    options: dict[str, Any] = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    oracle: Any = structural_similarity
    expected = oracle(a, b, data_range=255, channel_axis=2, **options)
    assert ssim(a, b, data_range=255) == pytest.approx(expected, abs=1e-12)


def test_ssim_of_one_window_is_defined() -> None:
    a, b = (picture[:11, :11, 0] for picture in noisy_pair())
    assert -1 <= ssim(a, b, data_range=255) < 1


def test_luminance_agrees_with_scikit_image() -> None:
    a, _ = noisy_pair()
    expected = color.rgb2ycbcr(a)[..., 0]
    np.testing.assert_allclose(rgb_to_y(a, data_range=255), expected, atol=1e-12, rtol=0)


def test_luminance_of_black_and_white_is_16_and_235() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(rgb_to_y(ends, data_range=255), [[16, 235]], atol=1e-12)


def test_luminance_scales_with_the_data_range() -> None:
    a, _ = noisy_pair()
    fractions = rgb_to_y(a / 255, data_range=1)
    np.testing.assert_allclose(255 * fractions, rgb_to_y(a, data_range=255), atol=1e-12)


def test_equal_pictures_have_infinite_psnr_and_ssim_1() -> None:
    a, _ = noisy_pair()
    assert psnr(a, a.copy(), data_range=255) == math.inf
    assert ssim(a, a.copy(), data_range=255) == pytest.approx(1, abs=1e-12)


def test_metrics_do_not_depend_on_the_units() -> None:
    a, b = noisy_pair()
    assert psnr(a / 255, b / 255, data_range=1) == pytest.approx(psnr(a, b, data_range=255))
    assert ssim(a / 255, b / 255, data_range=1) == pytest.approx(ssim(a, b, data_range=255))


def test_metrics_are_symmetric() -> None:
    a, b = noisy_pair()
    assert psnr(a, b, data_range=255) == psnr(b, a, data_range=255)
    assert ssim(a, b, data_range=255) == pytest.approx(ssim(b, a, data_range=255), abs=1e-14)


def test_crop_border_takes_the_same_from_each_side() -> None:
    picture = np.arange(35).reshape(5, 7)
    np.testing.assert_array_equal(crop_border(picture, 2), [[16, 17, 18]])
    assert crop_border(picture, 0).shape == (5, 7)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    ("a", "b", "data_range", "says"),
    [
        (np.zeros((11, 12)), np.zeros((12, 11)), 1, r"shape: \[11, 12\] and \[12, 11\]"),
        (np.zeros(11), np.zeros(11), 1, r"\[H, W\] or \[H, W, C\]"),
        (np.zeros((0, 4)), np.zeros((0, 4)), 1, "not empty"),
        (np.zeros((11, 11)), np.zeros((11, 11), np.uint8), 255, "float64 and uint8"),
        (np.full((11, 11), 9), np.zeros((11, 11), int), 1, "reach 9, above data range 1"),
        (np.zeros((11, 11)), np.zeros((11, 11)), 0, "not a positive number"),
        (np.zeros((11, 11)), np.zeros((11, 11)), math.nan, "not a positive number"),
    ],
)
def test_pictures_that_cannot_be_compared_are_refused(
    metric: Any, a: NDArray[Any], b: NDArray[Any], data_range: float, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        metric(a, b, data_range=data_range)


def test_ssim_refuses_a_picture_below_its_window() -> None:
    with pytest.raises(ConfigError, match="at least 11×11 pixels, not 40×10"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)), data_range=1)


def test_luminance_refuses_a_gray_picture() -> None:
    with pytest.raises(ConfigError, match=r"needs \[H, W, 3\]"):
        rgb_to_y(np.zeros((4, 4)), data_range=1)


def test_crop_border_leaves_at_least_one_pixel() -> None:
    with pytest.raises(ConfigError, match="4 pixels from each side of 20×8; at least 9"):
        crop_border(np.zeros((8, 20)), 4)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_published_pictures_get_their_published_scores(prosr_data: Path, scale: int) -> None:
    golden = prosr_data / "golden"
    scores = []
    for path in sorted((golden / f"set5_rcan_x{scale}").glob("*.png")):
        estimate, truth = read(path), read(golden / "set5_hr" / path.name)
        truth = truth[: estimate.shape[0], : estimate.shape[1]]
        a, b = (crop_border(rgb_to_y(y, data_range=255), scale) for y in (estimate, truth))
        scores.append((psnr(a, b, data_range=255), ssim(a, b, data_range=255)))
    mean_psnr, mean_ssim = np.mean(scores, axis=0)
    assert len(scores) == 5
    assert (f"{mean_psnr:.2f}", f"{mean_ssim:.4f}") == PUBLISHED_RCAN[scale]

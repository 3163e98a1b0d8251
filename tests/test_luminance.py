"""Colour for networks of luminance: MATLAB's YCbCr, and chroma by φ_s."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from prosr.evaluation.metrics import rgb_to_y
from prosr.layouts import BicubicConfig
from prosr.nets.luminance import LuminanceModel, rgb_to_ycbcr, ycbcr_to_rgb
from prosr.nets.network import Network
from prosr.resample.tensors import upscale
from prosr.scales import SCALES


class Darkened(Network):
    """φ_s minus 0.1: a network of luminance whose result is known."""

    def __init__(self) -> None:
        super().__init__(BicubicConfig())

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        return upscale(x, scale) - 0.1


def test_round_trip() -> None:
    rgb = torch.rand(2, 3, 5, 4)
    error = (ycbcr_to_rgb(rgb_to_ycbcr(rgb)) - rgb).abs().max()
    assert error < 1e-6, f"largest error {error:.1e}"


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((1, 1, 1), (235, 128, 128)),
        ((1, 0, 0), (81.481, 90.203, 240)),
        ((0, 0, 1), (40.966, 240, 109.786)),
    ],
)
def test_colours_are_matlabs(rgb: tuple[float, ...], ycbcr: tuple[float, ...]) -> None:
    converted = rgb_to_ycbcr(torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1))
    expected = torch.tensor(ycbcr, dtype=torch.float64).view(1, 3, 1, 1) / 255
    torch.testing.assert_close(converted, expected, rtol=0, atol=1e-5)


def test_luminance_is_that_of_the_metrics() -> None:
    rgb = torch.rand(1, 3, 6, 5, dtype=torch.float64)
    y = rgb_to_y(255 * rgb[0].permute(1, 2, 0).numpy(), data_range=255)
    torch.testing.assert_close(
        255 * rgb_to_ycbcr(rgb)[0, 0], torch.from_numpy(y), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("scale", SCALES)
def test_luminance_goes_through_the_network_and_chroma_through_the_bicubic(scale: int) -> None:
    x = torch.rand(1, 3, 5, 6, dtype=torch.float64)
    y_hat = rgb_to_ycbcr(LuminanceModel(Darkened())(x, scale))
    expected = rgb_to_ycbcr(upscale(x, scale))
    torch.testing.assert_close(y_hat[:, 1:], expected[:, 1:])
    torch.testing.assert_close(y_hat[:, :1], expected[:, :1] - 0.1)


def test_gray_stays_gray() -> None:
    x = torch.rand(1, 1, 5, 6, dtype=torch.float64).expand(-1, 3, -1, -1)
    y_hat = LuminanceModel(Darkened())(x, 2)
    assert (y_hat - y_hat[:, :1]).abs().max() < 1e-6


def test_autocast_does_not_round_colours() -> None:
    rgb = torch.rand(1, 3, 7, 6)
    expected = rgb_to_ycbcr(rgb)
    with torch.autocast("cpu", torch.bfloat16):
        given = rgb_to_ycbcr(rgb)
        back = ycbcr_to_rgb(given)
    assert torch.equal(given, expected)
    torch.testing.assert_close(back, rgb, atol=1e-5, rtol=0)

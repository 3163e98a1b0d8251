"""Protocols compare the pixels that they define; consistency compares with the input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prosr.errors import ConfigError
from prosr.evaluation.metrics import rgb_to_y
from prosr.evaluation.protocol import MOST_PSNR, PROTOCOLS, consistency, find_protocol
from prosr.resample import make_input
from prosr.scales import SCALES


def picture(height: int = 48, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("name", "extra"), [("paper", 0), ("released", 6), ("ntire", 6)])
def test_the_cropped_border_is_the_scale_and_the_protocols_extra(
    name: str, extra: int, scale: int
) -> None:
    prepared = find_protocol(name).prepare(picture(), scale)
    border = scale + extra
    assert prepared.shape[:2] == (48 - 2 * border, 64 - 2 * border)


def test_luminance_protocols_compare_unrounded_luminance() -> None:
    y = picture()
    expected = rgb_to_y(y, data_range=255)[4:-4, 4:-4]
    np.testing.assert_array_equal(find_protocol("paper").prepare(y, 4), expected)


def test_ntire_compares_rgb() -> None:
    y = picture()
    np.testing.assert_array_equal(find_protocol("ntire").prepare(y, 2), y[8:-8, 8:-8])


def test_a_protocol_describes_itself() -> None:
    descriptions = [protocol.describe() for protocol in PROTOCOLS.values()]
    y = "luminance (BT.601, 16–235)"
    assert descriptions == [
        f"paper (as papers publish): {y}, s pixels cropped at scale s",
        f"released (as the released code prints): {y}, s + 6 pixels cropped at scale s",
        "ntire (as NTIRE challenges rank): all of R, G, B, s + 6 pixels cropped at scale s",
    ]


def test_an_unknown_protocol_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no protocol is called 'papre'; did you mean 'paper'"):
        find_protocol("papre")


def test_a_name_like_no_protocol_is_refused_with_all() -> None:
    with pytest.raises(ConfigError, match="known: paper, released, ntire"):
        find_protocol("xyz")


@pytest.mark.parametrize("scale", SCALES)
def test_the_ground_truth_is_perfectly_consistent(scale: int) -> None:
    y = picture()
    assert consistency(make_input(y, scale), y, scale) == MOST_PSNR


@pytest.mark.parametrize("scale", SCALES)
def test_a_shift_of_brightness_lowers_consistency_by_its_size(scale: int) -> None:
    x = np.full((8, 8, 3), 100, np.uint8)
    estimate = np.full((8 * scale, 8 * scale, 3), 101, np.uint8)
    assert consistency(x, estimate, scale) == pytest.approx(20 * math.log10(255))

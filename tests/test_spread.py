"""Spreads and gains against hand-computed ones."""

from math import sqrt

import pytest

from prosr.lab.statistics import gain, shown, spread


def test_the_spread_is_that_of_a_sample() -> None:
    value = spread({0: 30.0, 1: 31.0, 2: 32.0})
    assert value is not None
    assert (value.mean, value.deviation, value.seeds) == (31.0, 1.0, (0, 1, 2))


def test_a_gain_is_taken_seed_by_seed() -> None:
    """Seeds differ by decibels, and the gain is 0.1 and 0.3 all the same."""
    value = gain({0: 30.1, 1: 33.3, 5: 99.0}, {0: 30.0, 1: 33.0})
    assert value is not None
    assert value.mean == pytest.approx(0.2)
    assert value.deviation == pytest.approx(0.2 / sqrt(2), abs=1e-4)
    assert value.seeds == (0, 1)


@pytest.mark.parametrize(
    "values,sign,text",
    [
        ({}, False, "–"),
        ({0: 30.456}, False, "30.46 (1)"),
        ({0: 0.2, 1: 0.4}, True, "+0.30 ± 0.14 (2)"),
        ({0: -0.001, 1: -0.001}, True, "+0.00 ± 0.00 (2)"),
    ],
)
def test_a_cell_shows_mean_deviation_and_seeds(
    values: dict[int, float], sign: bool, text: str
) -> None:
    assert shown(spread(values), sign) == text

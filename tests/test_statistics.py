"""Spreads, gains and verdicts against hand-computed ones."""

from math import sqrt

import pytest

from prosr.lab.statistics import gain, shown, spread, verdict


def test_the_deviation_is_that_of_a_sample() -> None:
    value = spread({0: 30.0, 1: 31.0, 2: 32.0})
    assert value is not None
    assert (value.mean, value.deviation, value.seeds) == (31.0, 1.0, (0, 1, 2))


def test_a_gain_is_taken_seed_by_seed() -> None:
    """Seeds differ by decibels, but the gains are 0.1 and 0.3."""
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


@pytest.mark.parametrize(
    "gains,expected",
    [
        ({}, "not tried"),
        ({0: 9.0}, "open"),
        # t is 4.303 for three seeds: the mean must exceed 2.484 deviations.
        ({0: 0.25, 1: 0.35, 2: 0.15}, "holds"),
        ({0: 0.24, 1: 0.34, 2: 0.14}, "open"),
        ({0: -0.25, 1: -0.35, 2: -0.15}, "does not hold"),
        # and 12.706 for two.
        ({0: 0.1, 1: 0.2}, "open"),
        ({0: 0.10, 1: 0.11}, "holds"),
    ],
)
def test_a_finding_holds_if_the_interval_of_its_gain_is_above_zero(
    gains: dict[int, float], expected: str
) -> None:
    assert verdict(spread(gains)) == expected

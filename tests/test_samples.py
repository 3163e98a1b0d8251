from __future__ import annotations

import numpy as np
import pytest

from prosr.images.samples import SAMPLE_TYPES, from_unit, to_unit


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_integer_sample_survives_the_round_trip(
    dtype: type[np.uint8] | type[np.uint16],
) -> None:
    samples = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    assert np.array_equal(from_unit(to_unit(samples), dtype), samples)


@pytest.mark.parametrize("dtype", SAMPLE_TYPES)
def test_values_outside_the_range_are_clipped(dtype: np.dtype[np.generic]) -> None:
    low, high = from_unit(np.array([-0.2, 1.2], np.float32), dtype)
    assert (to_unit(np.array([low, high])) == [0, 1]).all()


def test_halves_round_up() -> None:
    halves = np.array([0.5, 1.5, 2.5], np.float32) / np.float32(255)
    assert from_unit(halves, np.uint8).tolist() == [1, 2, 3]

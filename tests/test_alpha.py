"""Colour under transparent pixels comes from the visible pixels around them."""

from __future__ import annotations

import numpy as np

from prosr.inference.alpha import FILL_RADIUS, fill_transparent

RNG = np.random.default_rng(0)


def test_visible_colour_comes_back_bit_for_bit() -> None:
    colour = RNG.random((20, 20, 3), np.float32)
    alpha = RNG.random((20, 20, 1), np.float32)
    filled = fill_transparent(colour, alpha)
    visible = alpha[..., 0] >= 1 / 16
    assert np.array_equal(filled[visible], colour[visible])
    assert not np.array_equal(filled[~visible], colour[~visible])
    assert np.array_equal(fill_transparent(colour, np.ones_like(alpha)), colour)


def test_transparent_pixels_take_the_colour_beside_them() -> None:
    colour = np.zeros((9, 40, 3), np.float32)
    colour[:, :20] = 0.9, 0.5, 0.1
    alpha = np.zeros((9, 40, 1), np.float32)
    alpha[:, :20] = 1
    filled = fill_transparent(colour, alpha)
    beside = filled[:, 20 : 20 + FILL_RADIUS - 1]
    assert np.abs(beside - colour[:, :1]).max() < 0.02
    assert np.array_equal(filled[:, 20 + FILL_RADIUS :], colour[:, 20 + FILL_RADIUS :])


def test_nothing_depends_on_pixels_beyond_the_radius() -> None:
    colour = RNG.random((40, 40, 1), np.float32)
    alpha = RNG.random((40, 40, 1), np.float32).round()
    whole = fill_transparent(colour, alpha)
    r = FILL_RADIUS
    part = fill_transparent(colour[5:35, 5:35], alpha[5:35, 5:35])
    inner = whole[5 + r : 35 - r, 5 + r : 35 - r]
    assert np.abs(part[r:-r, r:-r] - inner).max() < 1e-6


def test_a_wholly_transparent_picture_keeps_its_colour() -> None:
    colour = RNG.random((9, 9, 3), np.float32)
    filled = fill_transparent(colour, np.zeros((9, 9, 1), np.float32))
    assert np.abs(filled - colour).max() < 1e-6


def test_the_result_stays_in_float32() -> None:
    filled = fill_transparent(RNG.random((9, 9, 3), np.float32), np.zeros((9, 9, 1), np.float32))
    assert filled.dtype == np.float32

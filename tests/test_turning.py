from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from prosr.images.orientation import TURNS


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_as_another_reader_does(orientation: int) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(TURNS[orientation].upright(stored[..., None])[..., 0], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rectangle_is_found_where_it_is_stored(orientation: int) -> None:
    turn = TURNS[orientation]
    stored = np.arange(5 * 7).reshape(5, 7, 1)
    upright = turn.upright(stored)
    height, width = upright.shape[:2]
    top, bottom, left, right = turn.stored((1, 3, 2, 5), (height, width))
    assert np.array_equal(turn.upright(stored[top:bottom, left:right]), upright[1:3, 2:5])

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from prosr.images.reading import upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_by_another_reader(orientation: int) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(upright(stored[..., None], orientation)[..., 0], expected)

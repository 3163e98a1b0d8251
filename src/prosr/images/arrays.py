"""Colour conversion for pictures that do not come from files."""

from __future__ import annotations

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.images import loading


def cmyk_to_rgb(samples: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """[H, W, 4] CMYK (0 is no ink) to [H, W, 3] sRGB, by its ICC profile if there is one."""
    image = pyvips.Image.new_from_array(samples, interpretation="cmyk")
    if profile:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return np.asarray(loading.cmyk_to_rgb(image))

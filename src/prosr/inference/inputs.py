"""Pictures in memory, PIL images and arrays: validation and conversion."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError
from prosr.images.loading import cmyk_array_to_rgb
from prosr.images.samples import SAMPLE_TYPES

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage


def check_array(array: NDArray[Any]) -> None:
    """Raise `ConfigError`, with the problem and the remedy, for an array that is not a picture."""
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 2, 3, 4)):
        hint = "; move the channels to the end" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ConfigError(
            f"an array of shape {shape} is not a picture: expected [height, width] or "
            f"[height, width, 1 to 4 channels]{hint}"
        )
    if 0 in shape:
        raise ConfigError(f"an array of shape {shape} has no pixels")
    if array.dtype not in SAMPLE_TYPES:
        raise ConfigError(
            f"an array of {array.dtype} is not a picture: use uint8, uint16, or float32 or "
            "float64 in [0, 1]"
        )
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise ConfigError(
                f"an array of {array.dtype} from {low:g} to {high:g}: convert it to [0, 1] first"
            )


def is_pil(image: object) -> TypeGuard[PilImage]:
    """Whether an object is a PIL image. Does not import PIL."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def upscale_pil(image: PilImage, upscale: Callable[[NDArray[Any]], NDArray[Any]]) -> PilImage:
    """Enlarge a PIL image through `upscale`, keeping its mode if possible.

    Gray, RGB and alpha stay as they are, also with 16 bits; 1-bit becomes gray, palettes become RGB
    or RGBA, CMYK becomes sRGB. Colour profile, EXIF, XMP and resolution are copied in `info`.
    Pixels are not rotated, so the EXIF orientation remains valid. Raises `ConfigError` for other
    modes.
    """
    from PIL import Image

    info = {k: v for k, v in image.info.items() if k in ("icc_profile", "exif", "xmp", "dpi")}
    if "transparency" in image.info or image.mode == "PA":
        image = image.convert("LA" if image.mode in ("L", "1") else "RGBA")
    if image.mode == "CMYK":
        array: NDArray[Any] = cmyk_array_to_rgb(np.asarray(image), info.pop("icc_profile", None))
    elif image.mode.startswith("I"):
        # Mode "I" has 32 bits per sample; results have 16.
        array = np.asarray(image)
        low, high = array.min(), array.max()
        if low < 0 or high > 65_535:
            why = f"from {low} to {high}: convert it to 0…65535 first"
            raise ConfigError(f"a PIL image of mode {image.mode} {why}")
        array = array.astype(np.uint16)
    elif image.mode in _MODES:
        array = np.asarray(image.convert(_MODES[image.mode]))
    else:
        raise ConfigError(f"a PIL image of mode {image.mode} is not supported; convert it to RGB")
    enlarged = Image.fromarray(upscale(array))
    if image.mode == "I":
        enlarged = enlarged.convert("I")
    enlarged.info.update(info)
    return enlarged


_MODES = {mode: mode for mode in ("L", "LA", "RGB", "RGBA", "F")}
_MODES |= {"1": "L", "P": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
_MODES |= {"La": "LA", "RGBa": "RGBA"}

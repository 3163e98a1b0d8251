"""Pictures in memory, as callers hold them: what is taken, and what is given back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError
from prosr.images import SAMPLE_TYPES, cmyk_array_to_rgb, from_unit, to_unit

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage


class Source(Protocol):
    """Where tiles are read from: a file or an array; see `prosr.images.reading.DecodedPicture`."""

    width: int
    height: int
    channels: int

    def window(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """The pixels of a rectangle in [0, 1], [bottom - top, right - left, channels]."""


class Sink(Protocol):
    """Where enlarged tiles go: a file or an array; see `prosr.images.Canvas`."""

    def put(self, top: int, left: int, block: NDArray[np.float32]) -> None:
        """Place [rows, columns, channels] values in [0, 1] (clipped) at (top, left)."""


class ArrayPicture:
    """An array as source: [H, W] or [H, W, 1 to 4], uint8, uint16 or floats in [0, 1]."""

    def __init__(self, array: NDArray[Any]) -> None:
        check_array(array)
        self._array = array if array.ndim == 3 else array[..., None]
        self.height, self.width, self.channels = self._array.shape

    def window(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        return to_unit(self._array[top:bottom, left:right])


class ArrayCanvas:
    """An array as sink, of the type and rank of the `array` that it enlarges."""

    def __init__(self, array: NDArray[Any], scale: int) -> None:
        height, width, *channels = array.shape
        self.array = np.empty((scale * height, scale * width, *channels), array.dtype)

    def put(self, top: int, left: int, block: NDArray[np.float32]) -> None:
        rows, columns, _ = block.shape
        place = self.array[top : top + rows, left : left + columns]
        place[...] = from_unit(block, self.array.dtype).reshape(place.shape)


def check_array(array: NDArray[Any]) -> None:
    """Raise `ConfigError`, with what is wrong and what helps, for an array that is no picture."""
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 2, 3, 4)):
        hint = "; move the channels to the end" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ConfigError(
            f"an array of shape {shape} is no picture: expected [height, width] or "
            f"[height, width, 1 to 4 channels]{hint}"
        )
    if 0 in shape:
        raise ConfigError(f"an array of shape {shape} has no pixels")
    if array.dtype not in SAMPLE_TYPES:
        raise ConfigError(
            f"an array of {array.dtype} is no picture: use uint8, uint16, or float32 or "
            "float64 in [0, 1]"
        )
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise ConfigError(
                f"an array of {array.dtype} from {low:g} to {high:g}: bring it to [0, 1] first"
            )


def is_pil(image: object) -> TypeGuard[PilImage]:
    """Whether it is a PIL image; PIL is not needed, and not imported, to find out."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def upscale_pil(image: PilImage, upscale: Callable[[NDArray[Any]], NDArray[Any]]) -> PilImage:
    """Enlarge a PIL image through `upscale`, keeping its mode where that is possible.

    Gray, RGB and alpha stay as they are, also with 16 bits; 1-bit becomes gray, palettes
    become RGB or RGBA, CMYK becomes sRGB. Colour profile, EXIF, XMP and resolution are
    carried in `info`; pixels are not turned, so that the EXIF orientation stays true.
    Raises `ConfigError` for other modes.
    """
    from PIL import Image

    info = {k: v for k, v in image.info.items() if k in ("icc_profile", "exif", "xmp", "dpi")}
    if "transparency" in image.info or image.mode == "PA":
        image = image.convert("LA" if image.mode in ("L", "1") else "RGBA")
    array: NDArray[Any]
    if image.mode == "CMYK":
        array = cmyk_array_to_rgb(np.asarray(image), info.pop("icc_profile", None))
    elif image.mode in _AS_IS:
        array = np.asarray(image)
    elif image.mode in _CONVERTED:
        array = np.asarray(image.convert(_CONVERTED[image.mode]))
    elif image.mode in _DEEP:
        array = _deep(image)
    else:
        raise ConfigError(f"a PIL image of mode {image.mode} is not supported; convert it to RGB")
    enlarged = Image.fromarray(upscale(array))
    if image.mode == "I":
        enlarged = enlarged.convert("I")
    enlarged.info.update(info)
    return enlarged


_AS_IS = ("L", "LA", "RGB", "RGBA", "F")
_CONVERTED = {"1": "L", "P": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
_CONVERTED |= {"La": "LA", "RGBa": "RGBA"}
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def _deep(image: PilImage) -> NDArray[np.uint16]:
    samples = np.asarray(image)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65_535:
        raise ConfigError(
            f"a PIL image of mode {image.mode} from {low} to {high}: bring it to 0…65535 first"
        )
    return samples.astype(np.uint16)

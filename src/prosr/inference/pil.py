"""PIL images as pictures: every mode, and colours that stand for transparency."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError, ImageError, printable
from prosr.images.adapting import enlarged_blobs
from prosr.images.loading import cmyk_array_to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage


def is_pil(image: object) -> TypeGuard[PilImage]:
    """Whether an object is a PIL image. Does not import PIL."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def upscale_pil(
    image: PilImage,
    upscale: Callable[[NDArray[Any]], NDArray[Any]],
    note: Callable[[str], object] = warnings.warn,
) -> PilImage:
    """Enlarge a PIL image through `upscale`, keeping its mode if possible.

    Gray, RGB and alpha stay as they are, also with 16 bits; 1-bit becomes gray, palettes become RGB
    or RGBA, CMYK becomes sRGB. A transparent colour becomes alpha with 8 bits; with 16 bits, for
    which PIL has no alpha, it stays a colour. Of an animation, the current picture is enlarged.
    `info` gets the colour profile, and EXIF, XMP and resolution of the enlargement; `note` gets a
    line about what they lack. Pixels are not rotated, so the EXIF orientation remains valid. Raises
    `ConfigError` for other modes, and `ImageError` if the image cannot be loaded.
    """
    from PIL import Image

    info = {k: v for k, v in image.info.items() if k in ("icc_profile", "exif", "xmp", "dpi")}
    try:
        image.load()
        array = samples(image, info)
    except ConfigError:
        raise
    # For damaged content PIL's plugins raise more than they document.
    except Exception as error:
        raise ImageError(f"the PIL image cannot be loaded ({printable(str(error))})") from error
    keyed = image.mode in ("1", "L", "RGB") or image.mode.startswith("I")
    key = image.info.get("transparency") if keyed else None
    if key is not None:
        key = _colour(key, image.mode, array)
        opaque = (array != key) if array.ndim == 2 else (array != key).any(axis=2)
        alpha = np.where(opaque, np.iinfo(array.dtype).max, 0)
        array = np.dstack((array, alpha.astype(array.dtype)))
    result = upscale(array)
    if key is not None and result.dtype == np.uint16:
        # Visible samples of the transparent value move to its neighbour.
        gray, alpha = np.where(result[..., 0] == key, key ^ 1, result[..., 0]), result[..., 1]
        result = np.where(alpha < 1 << 15, key, gray).astype(np.uint16)
        info["transparency"] = int(key)
    enlarged = Image.fromarray(result.astype(np.int32) if image.mode == "I" else result)
    if isinstance(dpi := info.get("dpi"), tuple):
        # A print keeps its size.
        info["dpi"] = tuple(enlarged.width / image.width * float(value) for value in dpi)
    blobs, lost = enlarged_blobs(info, image.size, enlarged.size)
    enlarged.info.update(info | blobs)
    if lost:
        note(f"the enlarged PIL image lacks {', '.join(sorted(lost))}")
    return enlarged


def samples(image: PilImage, info: dict[str, Any]) -> NDArray[Any]:
    """The image's samples, without a transparent colour. Drops a profile that no longer applies."""
    if image.mode == "CMYK":
        return cmyk_array_to_rgb(np.asarray(image), info.pop("icc_profile", None))
    if image.mode.startswith("I"):
        # Mode "I" has 32 bits per sample; results have 16.
        array = np.asarray(image)
        for wrong in array[(array < 0) | (array > 65_535)]:
            why = f"holds a sample of {wrong}: convert it to 0…65535 first"
            raise ConfigError(f"a PIL image of mode {image.mode} {why}")
        return array.astype(np.uint16)
    transparent = image.mode == "P" and image.has_transparency_data
    mode = "RGBA" if transparent else _MODES.get(image.mode)
    if mode is None:
        raise ConfigError(f"a PIL image of mode {image.mode} is not supported; convert it to RGB")
    return np.asarray(image.convert(mode))


def _colour(key: Any, mode: str, array: NDArray[Any]) -> Any:
    """The transparent colour as values of `array`'s samples, or `ConfigError`."""
    colour = np.array(key) if isinstance(key, int | tuple) else np.array(np.nan)
    if colour.shape != array.shape[2:] or not ((colour >= 0) & (colour <= 65_535)).all():
        why = "is no colour of it; remove it from the image's info"
        raise ConfigError(f"the transparency of a PIL image of mode {mode} {why}")
    if mode == "1":
        return 255 * (colour > 0)
    # PIL converts samples of 2, 4 and 16 bits to 8, but not the transparent colour beside them.
    if mode == "L" and colour < 16 and not (array % 17).any():
        return colour * (85 if colour < 4 and not (array % 85).any() else 17)
    return colour >> 8 if array.dtype == np.uint8 and colour.max() > 255 else colour


_MODES = {mode: mode for mode in ("L", "LA", "RGB", "RGBA", "F")}
_MODES |= {"1": "L", "P": "RGB", "PA": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
_MODES |= {"La": "LA", "RGBa": "RGBA"}

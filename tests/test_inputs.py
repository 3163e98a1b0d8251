"""Pictures in memory: the same kind comes back, or one line says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from prosr.errors import ConfigError
from prosr.inference.inputs import check_array, is_pil, upscale_pil

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)


def double(array: NDArray[Any]) -> NDArray[Any]:
    return array.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize(
    ("shape", "dtype", "why"),
    [
        ((5,), "uint8", "expected"),
        ((3, 20, 30), "uint8", "move the channels to the end"),
        ((20, 30, 5), "uint8", "expected"),
        ((1, 3, 20, 30), "float32", "expected"),
        ((0, 5, 3), "uint8", "has no pixels"),
        ((5, 5, 3), "int64", "int64 is not a picture: use uint8"),
        ((5, 5, 3), "bool", "bool is not a picture"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(
    shape: tuple[int, ...], dtype: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        check_array(np.zeros(shape, dtype))


@pytest.mark.parametrize("worst", [-0.01, 255.0, np.nan, np.inf])
def test_floats_outside_the_range_are_refused(worst: float) -> None:
    array = np.zeros((4, 4))
    array[2, 1] = worst
    with pytest.raises(ConfigError, match=r"convert it to \[0, 1\] first"):
        check_array(array)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_modes_with_channels_stay_as_they_are(mode: str) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    result = upscale_pil(image, double)
    assert (result.mode, result.size) == (mode, (10, 12))
    assert np.array_equal(np.asarray(result), double(np.asarray(image)))


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("F", "F")],
)
def test_other_pil_modes_become_the_nearest(mode: str, becomes: str) -> None:
    image = Image.fromarray(NOISE[..., :3]).convert(mode)
    if mode == "F":
        image = Image.fromarray(np.asarray(image) / np.float32(255))
    assert upscale_pil(image, double).mode == becomes


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_pil_16_bit_samples_stay(mode: str) -> None:
    samples = RNG.integers(0, 65536, (6, 5), dtype=np.uint16)
    image = Image.fromarray(samples if mode == "I;16" else samples.astype(np.int32))
    result = upscale_pil(image, double)
    assert image.mode == result.mode == mode
    assert np.array_equal(np.asarray(result), double(samples))


def test_pil_32_bit_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"from 70000 to 70000: convert it to 0…65535"):
        upscale_pil(Image.fromarray(np.full((2, 2), 70_000, np.int32)), double)


def test_pil_transparent_colours_become_alpha() -> None:
    palette = Image.fromarray(NOISE[..., :3]).quantize(4)
    palette.info["transparency"] = 2
    result = upscale_pil(palette, double)
    assert result.mode == "RGBA"
    assert np.array_equal(np.asarray(result), double(np.asarray(palette.convert("RGBA"))))


def test_pil_profile_and_exif_are_carried_and_the_pixels_not_turned() -> None:
    image = Image.fromarray(NOISE[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.info |= {"icc_profile": profile, "exif": exif.tobytes(), "loop": 3}
    result = upscale_pil(image, double)
    assert result.size == (10, 12)
    assert result.info == {"icc_profile": profile, "exif": exif.tobytes()}


def test_what_is_no_pil_image_is_known_as_such() -> None:
    assert is_pil(Image.fromarray(NOISE))
    assert not is_pil(NOISE)

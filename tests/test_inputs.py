"""Pictures in memory: the same kind comes back, or one line says what is wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from prosr.errors import ConfigError, ImageError
from prosr.inference.inputs import plain_array
from prosr.inference.loading import load
from prosr.inference.pil import is_pil, upscale_pil
from prosr.inference.upscaler import Upscaler

BICUBIC: Upscaler = load("bicubic")
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)


def double(array: NDArray[Any]) -> NDArray[Any]:
    doubled: NDArray[Any] = array.repeat(2, 0).repeat(2, 1)
    return doubled


@pytest.mark.parametrize(
    ("shape", "dtype", "why"),
    [
        ((5,), "uint8", "expected"),
        ((3, 20, 30), "uint8", "move the channels to the end"),
        ((20, 30, 5), "uint8", "expected"),
        ((1, 3, 20, 30), "float32", "expected"),
        ((0, 5, 3), "uint8", "has no pixels"),
        ((5, 5, 3), "int64", "int64 is not a picture: use uint8"),
        *(
            ((5, 5, 3), kind, f"{kind} is not a picture")
            for kind in ("bool", "int16", "uint32", "float16", "complex64", "object", "datetime64")
        ),
        ((5, 5), [("a\n", "u1")], r"\('a\\n', 'u1'\)\] is not a picture"),
        ((), "uint8", "expected"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(
    shape: tuple[int, ...], dtype: Any, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as refusal:
        plain_array(np.zeros(shape, dtype))
    assert "\n" not in str(refusal.value)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        np.matrix,
        np.ma.array,
        lambda a: a[::-1, ::-1][::-1, ::-1],
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    ],
)
def test_every_layout_of_the_same_samples_gives_the_same_picture(
    change: Callable[[NDArray[Any]], NDArray[Any]],
) -> None:
    for samples in (RNG.integers(0, 65536, (6, 5), dtype=np.uint16), RNG.random((6, 5))):
        plain = plain_array(change(samples))
        assert type(plain) is np.ndarray and plain.dtype == samples.dtype
        assert np.array_equal(plain, samples)
        assert np.array_equal(BICUBIC.upscale(change(samples), 2), BICUBIC.upscale(samples, 2))


def test_masked_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"give array\.filled\(0\)"):
        plain_array(np.ma.masked_equal(NOISE, NOISE[0, 0, 0]))


def test_floats_may_lie_outside_the_range_by_rounding_errors() -> None:
    assert plain_array(np.array([[1 + 1e-7, -1e-7]], np.float32)).shape == (1, 2)


@pytest.mark.parametrize(
    ("worst", "why"),
    [(-0.01, "convert it to"), (255.0, "convert it to"), (np.nan, "finite"), (np.inf, "finite")],
)
def test_floats_outside_the_range_are_refused(worst: float, why: str) -> None:
    array = np.zeros((4, 4))
    array[2, 1] = worst
    with pytest.raises(ConfigError, match=why):
        plain_array(array)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_modes_with_channels_stay_as_they_are(mode: str) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    result = upscale_pil(image, double)
    assert (result.mode, result.size) == (mode, (10, 12))
    assert np.array_equal(np.asarray(result), double(np.asarray(image)))


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [
        *(("1", "L"), ("P", "RGB"), ("PA", "RGBA"), ("YCbCr", "RGB"), ("HSV", "RGB")),
        *(("La", "LA"), ("RGBa", "RGBA"), ("RGBX", "RGB")),
    ],
)
def test_other_pil_modes_become_the_nearest(mode: str, becomes: str) -> None:
    image = Image.fromarray(NOISE)
    for step in {"La": ("LA", "La"), "PA": ("P", "PA"), "RGBa": ("RGBa",)}.get(mode, ("RGB", mode)):
        image = image.convert(step)
    # Alpha has its own channel here, so that this colour is of no use.
    image.info |= {} if mode in ("1", "P") else {"transparency": 0}
    result = upscale_pil(image, double)
    assert result.mode == becomes
    assert np.array_equal(np.asarray(result), double(np.asarray(image.convert(becomes))))


def test_pil_lab_is_refused() -> None:
    with pytest.raises(ConfigError, match="a PIL image of mode LAB is not supported"):
        upscale_pil(Image.new("LAB", (2, 2)), double)


def test_pil_cmyk_becomes_srgb() -> None:
    inks = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    red = np.asarray(upscale_pil(inks, double))[0, 0]
    assert red[0] > 180 and red[1:].max() < 90


def test_pil_floats_stay() -> None:
    image = Image.fromarray(NOISE[..., 0] / np.float32(255))
    assert np.array_equal(np.asarray(upscale_pil(image, double)), double(np.asarray(image)))


@pytest.mark.parametrize("mode", ["I;16B", "I;16L"])
def test_pil_16_bit_samples_of_either_byte_order_are_read(mode: str) -> None:
    result = upscale_pil(Image.new(mode, (3, 2), 258), double)
    assert result.mode == "I;16" and np.all(np.asarray(result) == 258)


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_pil_16_bit_samples_stay(mode: str) -> None:
    samples = RNG.integers(0, 65536, (6, 5), dtype=np.uint16)
    image = Image.fromarray(samples if mode == "I;16" else samples.astype(np.int32))
    result = upscale_pil(image, double)
    assert image.mode == result.mode == mode
    assert np.array_equal(np.asarray(result), double(samples))


def test_pil_32_bit_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"holds a sample of 70000: convert it to 0…65535"):
        upscale_pil(Image.fromarray(np.full((2, 2), 70_000, np.int32)), double)


def test_pil_transparent_colours_become_alpha() -> None:
    palette = Image.fromarray(NOISE[..., :3]).quantize(4)
    palette.info["transparency"] = 2
    result = upscale_pil(palette, double)
    assert result.mode == "RGBA"
    assert np.array_equal(np.asarray(result), double(np.asarray(palette.convert("RGBA"))))


@pytest.mark.parametrize(
    ("mode", "samples", "key", "alpha"),
    [
        ("L", [[7, 8]], 7, [[0, 255]]),
        ("1", [[0, 255]], 255, [[255, 0]]),
        ("RGB", [[(1, 2, 3), (1, 2, 4)]], (1, 2, 3), [[0, 255]]),
        # Files of 2 and 4 bits, which PIL scales, and of 16, of which it keeps the upper 8.
        ("L", [[85, 170, 0, 255]], 2, [[255, 0, 255, 255]]),
        ("L", [[17, 204, 0, 255]], 12, [[255, 0, 255, 255]]),
        ("RGB", [[(1, 2, 3), (1, 2, 4)]], (0x155, 0x201, 0x3FF), [[0, 255]]),
    ],
)
def test_a_transparent_colour_of_pil_becomes_alpha(
    mode: str, samples: Any, key: Any, alpha: Any
) -> None:
    image = Image.fromarray(np.array(samples, np.uint8)).convert(mode)
    image.info["transparency"] = key
    result = upscale_pil(image, double)
    assert result.mode == ("RGBA" if mode == "RGB" else "LA")
    assert result.info == {}
    assert np.array_equal(np.asarray(result)[..., -1], double(np.array(alpha)))
    assert np.array_equal(np.asarray(result)[..., :-1].squeeze(), double(np.array(samples)))


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_a_transparent_colour_of_16_bits_stays_a_colour(mode: str) -> None:
    samples = np.array([[12345, 12345, 1000, 65535]] * 4, np.uint16)
    image = Image.fromarray(samples if mode == "I;16" else samples.astype(np.int32))
    image.info["transparency"] = 12345

    def half(array: NDArray[Any]) -> NDArray[Any]:
        assert np.array_equal(array[..., 1], np.where(samples == 12345, 0, 65535))
        # A visible sample comes out with the value of the transparent colour.
        return np.where(array[:, 1:] == (1000, 65535), (12345, 65535), array[:, 1:]).astype("u2")

    result = upscale_pil(image, half)
    assert (result.mode, result.info) == (mode, {"transparency": 12345})
    assert np.asarray(result)[0].tolist() == [12345, 12344, 65535]


@pytest.mark.parametrize(
    "key", [(1, 2), b"\0", "red", 1.5, -1, 70_000, 10**100, (10**5000,)], ids=range(8)
)
def test_a_transparency_that_is_no_colour_is_refused(key: Any) -> None:
    image = Image.fromarray(NOISE[..., 0])
    image.info["transparency"] = key
    with pytest.raises(ValueError, match="remove it from the image's info"):
        upscale_pil(image, double)


@pytest.mark.parametrize("key", [300, "red", b"\0" * 300])
def test_a_transparency_beyond_the_palette_is_one_line(key: Any) -> None:
    image = Image.fromarray(NOISE[..., :3]).quantize(4)
    image.info["transparency"] = key
    try:
        assert upscale_pil(image, double).mode in ("RGB", "RGBA")
    except ImageError as error:
        assert str(error).startswith("the PIL image cannot be loaded (")


def test_a_damaged_pil_image_is_one_line() -> None:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, "png")
    image = Image.open(io.BytesIO(buffer.getvalue()[:-40]))
    with pytest.raises(ImageError, match=r"^the PIL image cannot be loaded \(.*\)$"):
        upscale_pil(image, double)


def test_pil_profile_and_exif_are_carried_and_the_pixels_not_turned() -> None:
    image = Image.fromarray(NOISE[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.info |= {"icc_profile": profile, "exif": exif.tobytes(), "loop": 3, "dpi": (72, 96)}
    result = upscale_pil(image, double)
    assert result.size == (10, 12)
    assert result.getexif()[0x0112] == 6
    del result.info["exif"]
    assert result.info == {"icc_profile": profile, "dpi": (144, 192)}


def test_pixels_in_exif_and_xmp_of_pil_images_are_scaled_and_losses_said() -> None:
    image = Image.fromarray(NOISE[..., :3])
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA002: 5, 0xA003: 6, 0x9214: (1, 2, 3)})
    box = "xmlns:a='http://ns.adobe.com/xap/1.0/sType/Dimensions#' a:w='5' a:h='6' a:unit='pixel'"
    gain = "xmlns:g='http://ns.adobe.com/hdr-gain-map/1.0/' g:Version='1'"
    image.info |= {"exif": exif.tobytes(), "xmp": f"<x {box} {gain}/>".encode()}
    notes: list[str] = []
    result = upscale_pil(image, double, notes.append)
    photo = result.getexif().get_ifd(0x8769)
    assert (photo[0xA002], photo[0xA003], photo[0x9214]) == (10, 12, (2, 4, 6))
    assert b'a:w="10" a:h="12"' in result.info["xmp"] and b"g:Version" not in result.info["xmp"]
    assert notes == ["the enlarged PIL image lacks the gain map (HDR)"]


def test_what_is_no_pil_image_is_known_as_such() -> None:
    assert is_pil(Image.fromarray(NOISE))
    assert not is_pil(NOISE)

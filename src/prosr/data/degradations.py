"""What happens to pictures before they are enlarged: blur, resizing, noise, sharpening, JPEG, WebP.

Pictures are [H, W, 3] in float64 with values from 0 to 255. Only `jpeg` and `webp` round and clip
them. Functions that take a generator `rng` draw from it only.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prosr.data.decoded import Pixels
from prosr.errors import ConfigError, suggestion
from prosr.images.compression import webp_again
from prosr.images.samples import LUMA
from prosr.resample import keys_cubic, mirrored_indices, to_uint8

Picture = NDArray[np.float64]
Rng = np.random.Generator
Size = tuple[int, int]
Method = Literal["area", "linear", "cubic"]


def gaussian_kernel(
    side: int,
    sigmas: tuple[float, float],
    angle: float = 0,
    beta: float = 1,
    plateau: bool = False,
    centre: float = 0,
) -> Picture:
    """A kernel, [side, side], with these sigmas of its axes, the first at `angle`.

    It is exp(−q^β/2), or 1 / (1 + q^β) as a plateau, q the quadratic form of position: Gaussian
    with β = 1, else generalized (Real-ESRGAN, 3.1). Rows and columns count from `centre` pixels
    below and right of the middle.
    """
    row, column = np.mgrid[:side, :side] - (side - 1) / 2 - centre
    along = column * math.cos(angle) + row * math.sin(angle)
    across = row * math.cos(angle) - column * math.sin(angle)
    q = ((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2) ** beta
    kernel: Picture = 1 / (1 + q) if plateau else np.exp(-q / 2)
    kernel /= kernel.sum()
    return kernel


def sinc_kernel(side: int, cutoff: float) -> Picture:
    """The circular low-pass filter with `cutoff` in radians, which rings (Real-ESRGAN, Eq. 6)."""
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    r, turn = np.maximum(np.hypot(row, column), 1e-9), 2 * math.pi * np.arange(128) / 128
    # The Bessel function J₁ as the mean of a periodic function.
    bessel = np.cos(turn - (cutoff * r)[..., None] * np.sin(turn)).mean(axis=-1)
    kernel: Picture = bessel / r / (bessel / r).sum()
    return kernel


def blur(x: Picture, kernel: Picture) -> Picture:
    """Convolve with a kernel of odd side, borders mirrored."""
    reach, (height, width) = len(kernel) // 2, x.shape[:2]
    padded = x[mirrored_indices(height, reach, reach)][:, mirrored_indices(width, reach, reach)]
    size = padded.shape[:2]
    product = np.fft.rfft2(padded, size, (0, 1)) * np.fft.rfft2(kernel, size)[..., None]
    return np.fft.irfft2(product, size, (0, 1))[2 * reach :, 2 * reach :]


def resize(x: Picture, size: Size, method: Method, antialias: bool = True) -> Picture:
    """Resize to `size`, height and width, borders mirrored.

    With `antialias`, "cubic" is Keys' kernel with a = −0.5. Without it, a is −0.75, and a kernel
    keeps its width in pixels of x where x is reduced, as in OpenCV and PyTorch. "area" always
    averages.
    """
    x = np.tensordot(_taps(x.shape[0], size[0], method, antialias), x, 1)
    resized: Picture = np.matmul(_taps(x.shape[1], size[1], method, antialias), x)
    return resized


@lru_cache(maxsize=64)
def _taps(length: int, size: int, method: Method, antialias: bool) -> Picture:
    """Weights of `length` pixels for each of `size`, [size, length]."""
    scale = size / length
    stretch = max(1.0, 1 / scale) if antialias or method == "area" else 1.0
    radius = {"area": 0.5, "linear": 1.0, "cubic": 2.0}[method] * stretch
    centre = (np.arange(size) + 0.5) / scale - 0.5
    reach = math.ceil(radius) + 1
    index = np.floor(centre)[:, None] + np.arange(-reach, reach + 1)
    t = (centre[:, None] - index) / stretch
    weights = {
        # The part of each pixel that the averaged interval covers.
        "area": np.clip((0.5 - np.abs(t)) * stretch + 0.5, 0, min(1.0, stretch)),
        "linear": np.maximum(1 - np.abs(t), 0),
        "cubic": keys_cubic(t, -0.5 if antialias else -0.75),
    }[method]
    taps = np.zeros((size, length))
    mirrored = mirrored_indices(length, 0, length)[index.astype(np.intp) % (2 * length)]
    np.add.at(taps, (np.arange(size)[:, None], mirrored), weights)
    taps /= taps.sum(axis=1, keepdims=True)
    return taps


def add_noise(x: Picture, normal: float, poisson: float, gray: bool, rng: Rng) -> Picture:
    """Add normal noise of this sigma, and `poisson` times that of as many photons as x has units.

    `gray` adds the same to R, G and B (Real-ESRGAN, 3.1).
    """
    noise: Picture = normal * rng.standard_normal((*x.shape[:2], 1 if gray else 3))
    if poisson:
        photons = np.clip(x @ LUMA[:, None] if gray else x, 0, 255)
        noise = noise + poisson * (rng.poisson(photons) - photons)
    return x + noise


def sharpen(x: Picture, sigma: float, amount: float) -> Picture:
    """Sharpen luminance with an unsharp mask, which leaves halos as phones do."""
    luma: Picture = x @ LUMA[:, None]
    side = 2 * math.ceil(2 * sigma) + 1
    return x + amount * (luma - blur(luma, gaussian_kernel(side, (sigma, sigma))))


# fmt: off
# Quantization of luminance and chrominance, transposed like the coefficients.
_TABLES = np.array((
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)).reshape(2, 8, 8).swapaxes(1, 2)
# The matrix of libjpeg's accurate integer transform: 8192 √8 times the orthonormal one, with the
# rounding that its products have. The right half mirrors the left, with odd rows negated.
_HALF = np.array([
    (8192, 8192, 8192, 8192), (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703), (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192), (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433), (2260, -6436, 9633, -11363),
], np.float64)
# fmt: on
_DCT = np.hstack((_HALF, _HALF[:, ::-1] * np.tile([[1.0], [-1.0]], (4, 1))))


def jpeg(x: Picture, quality: int, chroma: int = 2, grid: Size = (0, 0)) -> Picture:
    """Compress with JPEG: what libjpeg reads after it has written x, rounded to 8 bits.

    `chroma` is 2 for 4:2:0 and 1 for 4:4:4. The blocks start `grid` pixels above and left of x,
    as if x had been cropped (ITU-T T.81; the integer arithmetic is that of libjpeg 6b).
    """
    (top, left), pixels = grid, to_uint8(x)
    height, width = x.shape[0] + top, x.shape[1] + left
    rows = np.clip(np.arange(-top, x.shape[0] + height % chroma), 0, x.shape[0] - 1)
    columns = np.arange(-left, x.shape[1] + -width % (8 * chroma))
    columns = np.clip(columns, 0, x.shape[1] - 1)
    red, green, blue = pixels[rows[:, None], columns].transpose(2, 0, 1).astype(np.int32)
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    cb = (-11059 * red - 21709 * green + 32768 * blue + 8421375) >> 16
    cr = (32768 * red - 27439 * green - 5329 * blue + 8421375) >> 16
    colour = np.stack((cb, cr))
    if chroma == 2:
        pairs = colour[:, ::2] + colour[:, 1::2]
        colour = (pairs[..., ::2] + pairs[..., 1::2] + np.arange(columns.size // 2) % 2 + 1) >> 2
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    of_luma, of_colour = np.clip((_TABLES * percent + 50) // 100, 1, 255).astype(np.float64)
    luma, colour = _quantized(luma[None], of_luma)[0], _quantized(colour, of_colour)
    if chroma == 2:
        colour = _doubled(colour[:, : -(-height // 2), : -(-width // 2)])
    inside = np.s_[..., top:height, left:width]
    luma, (cb, cr) = luma[inside], colour[inside] - 128
    decoded = np.empty((*luma.shape, 3))
    decoded[..., 0] = luma + ((91881 * cr + 32768) >> 16)
    decoded[..., 1] = luma - ((22554 * cb + 46802 * cr + 32767) >> 16)
    decoded[..., 2] = luma + ((116130 * cb + 32768) >> 16)
    return np.clip(decoded, 0, 255, out=decoded)


def _quantized(planes: NDArray[np.int32], table: Picture) -> NDArray[np.int32]:
    """Planes [N, H, W], W a multiple of 8, after the transform, quantization and back."""
    count, height, width = planes.shape
    padded = np.pad(planes, ((0, 0), (0, -height % 8), (0, 0)), "edge") - 128
    blocks = padded.reshape(count, -1, 8, width // 8, 8).swapaxes(2, 3).astype(np.float64)
    # Integers below 2⁵³, so that the products are exact in whatever order they are added.
    z = _transform(_transform(blocks, _DCT.T, 11).swapaxes(1, 2), _DCT.T, 15) / (8 * table)
    z = np.trunc(z + np.copysign(0.5, z)) * table
    z = np.clip(_transform(_transform(z, _DCT, 11).swapaxes(1, 2), _DCT, 18) + 128, 0, 255)
    pixels = z.reshape(count, -1, width // 8, 8, 8).swapaxes(2, 3).astype(np.int32)
    return pixels.reshape(count, -1, width)[:, :height]


def _transform(blocks: Picture, matrix: Picture, shift: int) -> Picture:
    """Transform the last axis and round to multiples of 2^shift, [N, 8, 8]."""
    z = np.floor(blocks.reshape(-1, 8) @ matrix * 2.0**-shift + 0.5)
    return z.reshape(-1, 8, 8)


def _doubled(planes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Twice the height and width by the triangle filter of libjpeg ("fancy upsampling")."""
    count, height, width = planes.shape
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), "edge")
    middle = 3 * padded[:, 1:-1]
    tall = np.stack((middle + padded[:, :-2], middle + padded[:, 2:]), axis=2)
    tall = tall.reshape(count, 2 * height, width + 2)
    middle = 3 * tall[..., 1:-1]
    wide = np.stack((middle + tall[..., :-2] + 8, middle + tall[..., 2:] + 7), axis=3) >> 4
    return wide.reshape(count, 2 * height, 2 * width)


def webp(x: Picture, quality: int, grid: Size = (0, 0)) -> Picture:
    """Compress with lossy WebP, whose blocks of 16 pixels start `grid` pixels above and left of x.

    libwebp computes it, which does not promise the same bytes in all its versions. So it is for
    training, not for benchmarks.
    """
    top, left = grid
    padded = np.pad(to_uint8(x), ((top, 0), (left, 0), (0, 0)), "edge")
    return webp_again(padded, quality)[top:, left:].astype(np.float64)


def times(size: tuple[int, ...], factor: float) -> Size:
    """Height and width times `factor`, at least 1."""
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


NAMED: dict[str, tuple[tuple[Any, ...], ...]] = {
    "none": (),
    "jpeg-90": (("jpeg", 90),),
    "jpeg-75": (("jpeg", 75),),
    "jpeg-50": (("jpeg", 50),),
    "blur": (("blur", 1.0),),
    "noise": (("noise", 5.0),),
    "real-1": (("noise", 2.0), ("sharpen", 1.0, 0.6), ("jpeg", 90)),
    "real-2": (("resize", 2.0, "cubic"), ("jpeg", 85), ("resize", 0.5, "linear"), ("jpeg", 75)),
    "real-3": (("blur", 0.8), ("noise", 5.0), ("jpeg", 60, 2, (3, 5)), ("jpeg", 75)),
}
"""Degradations of benchmark inputs as steps. "none" leaves x as it is."""


def check_degradation(name: str) -> str:
    """Return a name in `NAMED`, or raise `ConfigError` with the nearest one."""
    if name in NAMED:
        return name
    raise ConfigError(f"no degradation is called {name!r}{suggestion(name, NAMED)}")


def degraded(x: Pixels, name: str) -> Pixels:
    """The benchmark input x under a degradation in `NAMED`, the same bytes on every machine.

    Random numbers depend on `name` and x only. Raises what `check_degradation` raises.
    """
    rng = np.random.default_rng((zlib.crc32(name.encode()), zlib.crc32(x.tobytes())))
    steps: dict[str, Callable[..., Picture]] = {
        "jpeg": jpeg,
        "sharpen": sharpen,
        "blur": lambda z, sigma: blur(z, gaussian_kernel(9, (sigma, sigma))),
        "noise": lambda z, sigma: add_noise(z, sigma, 0, False, rng),
        "resize": lambda z, factor, method: resize(z, times(z.shape, factor), method),
    }
    for step, *values in NAMED[check_degradation(name)]:
        x = to_uint8(steps[step](x.astype(np.float64), *values))
    return x

"""What happens to pictures before they are enlarged: blur, resizing, noise, sharpening, JPEG.

Pictures are [H, W, 3]: `Pixels` in uint8, `Picture` in float64 with values from 0 to 255, neither
rounded nor clipped. Functions that take a generator `rng` draw from it only. All code is NumPy:
libvips and its codecs hang in the forked processes that prepare batches.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from prosr.errors import ConfigError, suggestion
from prosr.layouts import Settings
from prosr.resample import keys_cubic, mirrored_indices, to_uint8

Picture = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Rng = np.random.Generator
Range = tuple[float, float]
Size = tuple[int, int]
Step = Callable[[Picture, Rng], Picture]
Method = Literal["area", "linear", "cubic"]
Quality = Annotated[int, Field(ge=1, le=100)]

LUMA = np.array([0.299, 0.587, 0.114])


class Degradation(Settings):
    """What happens to the inputs of a training: a recipe's table `degradation`.

    `bicubic` leaves x as it is in benchmarks, `jpeg` and `real` start from there. A share `clean`
    of the pairs keeps the bicubic x. `quality` is the range of qualities of JPEG.
    """

    kind: Literal["bicubic", "jpeg", "real"] = "bicubic"
    clean: float = Field(default=0.0, ge=0, le=1)
    quality: tuple[Quality, Quality] = (30, 95)

    @property
    def margin(self) -> int:
        """Pixels of x around a patch that are degraded with it, then cut off."""
        return 0 if self.kind == "bicubic" else 16

    def apply(self, x: Pixels, rng: Rng) -> Pixels:
        """Degrade the bicubic input x; returns the same size."""
        if self.kind == "bicubic" or rng.random() < self.clean:
            return x
        pipeline = random_jpeg if self.kind == "jpeg" else real
        return pipeline(x, self.quality, rng)


BICUBIC = Degradation()


def exact(weights: Picture) -> Picture:
    """The weights, scaled to a sum of 1 and rounded to multiples of 2⁻²⁰.

    Sums of 8-bit pixels times two such weights are exact in float64, so that they are the same
    on every processor, whatever their order.
    """
    rounded = np.round(weights / weights.sum() * 2.0**20)
    rounded.flat[rounded.argmax()] += 2.0**20 - rounded.sum()
    normal: Picture = rounded / 2.0**20
    return normal


def gaussian_kernel(
    side: int, sigmas: Range, angle: float = 0.0, beta: float = 1.0, plateau: bool = False
) -> Picture:
    """A kernel, [side, side], with these sigmas of its axes, the first at `angle`.

    It is exp(−q^β/2), or 1 / (1 + q^β) as a plateau, q the quadratic form of position: Gaussian
    with β = 1, else generalized (Real-ESRGAN, 3.1).
    """
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    along = column * math.cos(angle) + row * math.sin(angle)
    across = row * math.cos(angle) - column * math.sin(angle)
    q = ((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2) ** beta
    return exact(1 / (1 + q) if plateau else np.exp(-q / 2))


def blur(x: Picture, kernel: Picture) -> Picture:
    """Convolve with a kernel of odd side, borders mirrored."""
    side, (height, width) = len(kernel), x.shape[:2]
    reach = side // 2
    padded = x[mirrored_indices(height, reach, reach)][:, mirrored_indices(width, reach, reach)]
    blurred = np.zeros(x.shape)
    for row, column in np.argwhere(kernel):
        weight = kernel[side - 1 - row, side - 1 - column]
        blurred += weight * padded[row : row + height, column : column + width]
    return blurred


def resize(x: Picture, size: Size, method: Method, antialias: bool = True) -> Picture:
    """Resize to `size`, height and width, borders mirrored.

    Without `antialias` a kernel keeps its width in pixels of x where x is reduced, as in OpenCV
    and PyTorch. "area" always averages.
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
        "cubic": keys_cubic(t),
    }[method]
    taps = np.zeros((size, length))
    source = index.astype(np.intp) % (2 * length)
    source = np.where(source < length, source, 2 * length - 1 - source)
    np.add.at(taps, (np.arange(size)[:, None], source), weights)
    return np.stack([exact(row) for row in taps])


def gaussian_noise(x: Picture, sigma: float, gray: bool, rng: Rng) -> Picture:
    """Add normal noise, `gray` if it is the same in R, G and B."""
    return x + sigma * rng.standard_normal((*x.shape[:2], 1 if gray else 3))


def poisson_noise(x: Picture, strength: float, gray: bool, rng: Rng) -> Picture:
    """Add `strength` times the noise of as many photons as x has units (Real-ESRGAN, 3.1)."""
    photons = np.clip(x @ LUMA[:, None] if gray else x, 0, 255)
    noisy: Picture = x + strength * (rng.poisson(photons) - photons)
    return noisy


def sharpen(x: Picture, sigma: float, amount: float) -> Picture:
    """Sharpen luminance with an unsharp mask, which leaves halos as phones do."""
    luma: Picture = x @ LUMA[:, None]
    side = 2 * math.ceil(2 * sigma) + 1
    return x + amount * (luma - blur(luma, gaussian_kernel(side, (sigma, sigma))))


# fmt: off
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)
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


def jpeg(x: Pixels, quality: int, chroma: int = 2, grid: Size = (0, 0)) -> Pixels:
    """Compress with JPEG: what libjpeg reads after it has written x.

    `chroma` is 2 for 4:2:0 and 1 for 4:4:4. The blocks start `grid` pixels above and left of x,
    as if x had been cropped (ITU-T T.81; the integer arithmetic is that of libjpeg 6b).
    """
    top, left = grid
    height, width = x.shape[0] + top, x.shape[1] + left
    rows = np.clip(np.arange(-top, x.shape[0] + height % chroma), 0, x.shape[0] - 1)
    columns = np.arange(-left, x.shape[1] + -width % (8 * chroma))
    columns = np.clip(columns, 0, x.shape[1] - 1)
    red, green, blue = x[rows[:, None], columns].transpose(2, 0, 1).astype(np.int32)
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    cb = (-11059 * red - 21709 * green + 32768 * blue + 8421375) >> 16
    cr = (32768 * red - 27439 * green - 5329 * blue + 8421375) >> 16
    colour = np.stack((cb, cr))
    if chroma == 2:
        pairs = colour[:, ::2] + colour[:, 1::2]
        colour = (pairs[..., ::2] + pairs[..., 1::2] + np.arange(columns.size // 2) % 2 + 1) >> 2
    of_luma, of_colour = _tables(quality)
    luma, colour = _quantized(luma[None], of_luma)[0], _quantized(colour, of_colour)
    if chroma == 2:
        colour = _doubled(colour[:, : -(-height // 2), : -(-width // 2)])
    inside = np.s_[..., top:height, left:width]
    luma, (cb, cr) = luma[inside], colour[inside] - 128
    decoded = np.empty((*luma.shape, 3), np.int32)
    decoded[..., 0] = luma + ((91881 * cr + 32768) >> 16)
    decoded[..., 1] = luma - ((22554 * cb + 46802 * cr + 32767) >> 16)
    decoded[..., 2] = luma + ((116130 * cb + 32768) >> 16)
    return np.clip(decoded, 0, 255).astype(np.uint8)


@lru_cache
def _tables(quality: int) -> tuple[Picture, Picture]:
    """The quantization tables of luminance and chrominance, transposed, as libjpeg scales them."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    both = np.array((_LUMINANCE, _CHROMINANCE)).reshape(2, 8, 8).swapaxes(1, 2)
    luma, colour = np.clip((both * percent + 50) // 100, 1, 255).astype(np.float64)
    return luma, colour


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
    z = blocks.reshape(-1, 8) @ matrix
    z *= 2.0**-shift
    z += 0.5
    return np.floor(z, out=z).reshape(-1, 8, 8)


def _doubled(planes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Twice the height and width by the triangle filter of libjpeg ("fancy upsampling")."""
    count, height, width = planes.shape
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), "edge")
    tall = np.empty((count, 2 * height, width + 2), np.int32)
    tall[:, ::2] = 3 * padded[:, 1:-1] + padded[:, :-2]
    tall[:, 1::2] = 3 * padded[:, 1:-1] + padded[:, 2:]
    wide = np.empty((count, 2 * height, 2 * width), np.int32)
    wide[..., ::2] = (3 * tall[..., 1:-1] + tall[..., :-2] + 8) >> 4
    wide[..., 1::2] = (3 * tall[..., 1:-1] + tall[..., 2:] + 7) >> 4
    return wide


def random_jpeg(x: Pixels, quality: tuple[int, int], rng: Rng) -> Pixels:
    """JPEG of a random quality and grid; one in five keeps all chroma."""
    level, chroma = int(rng.integers(quality[0], quality[1] + 1)), 1 if rng.random() < 0.2 else 2
    return jpeg(x, level, chroma, (int(rng.integers(16)), int(rng.integers(16))))


def real(x: Pixels, quality: tuple[int, int], rng: Rng) -> Pixels:
    """Ours, for networks that serve most users: JPEG nearly always, all else light and rare.

    In one of ten, x was reduced from a larger JPEG, as messengers do.
    """
    z = x.astype(np.float64)
    if rng.random() < 0.15:
        z = blur(z, gaussian_kernel(7, _sigmas(rng, 0.3, 1.0), rng.uniform(0, math.pi)))
    if rng.random() < 0.25:
        sigma, gray = 2 ** rng.uniform(-1, 3), rng.random() < 0.5
        add = gaussian_noise if rng.random() < 0.5 else poisson_noise
        z = add(z, sigma if add is gaussian_noise else sigma / 8, gray, rng)
    if rng.random() < 0.2:
        z = sharpen(z, rng.uniform(0.5, 1.5), rng.uniform(0.2, 1.2))
    if rng.random() < 0.1:
        z = resize(z, _times(x.shape[:2], rng.uniform(1.1, 1.6)), "cubic")
        z = random_jpeg(to_uint8(z), quality, rng).astype(np.float64)
        z = resize(z, x.shape[:2], _method(rng))
    pixels = to_uint8(z)
    for share in (0.92, 0.2):
        pixels = random_jpeg(pixels, quality, rng) if rng.random() < share else pixels
    return pixels


def _sigmas(rng: Rng, least: float, most: float) -> Range:
    return rng.uniform(least, most), rng.uniform(least, most)


def _times(size: Size, factor: float) -> Size:
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def _method(rng: Rng) -> Method:
    methods: tuple[Method, ...] = ("area", "linear", "cubic")
    return methods[int(rng.integers(3))]


def _saved(quality: int, grid: Size = (0, 0)) -> Step:
    return lambda z, rng: jpeg(to_uint8(z), quality, 2, grid).astype(np.float64)


def _soft(sigma: float) -> Step:
    return lambda z, rng: blur(z, gaussian_kernel(9, (sigma, sigma)))


def _noisy(sigma: float) -> Step:
    return lambda z, rng: gaussian_noise(z, sigma, False, rng)


def _resized(factor: float, method: Method) -> Step:
    return lambda z, rng: resize(z, _times(z.shape[:2], factor), method)


NAMED: dict[str, tuple[Step, ...]] = {
    "none": (),
    "jpeg-90": (_saved(90),),
    "jpeg-75": (_saved(75),),
    "jpeg-50": (_saved(50),),
    "blur": (_soft(1.0),),
    "noise": (_noisy(5.0),),
    "real-1": (_noisy(2.0), lambda z, rng: sharpen(z, 1.0, 0.6), _saved(90)),
    "real-2": (_resized(2.0, "cubic"), _saved(85), _resized(0.5, "linear"), _saved(75)),
    "real-3": (_soft(0.8), _noisy(5.0), _saved(60, (3, 5)), _saved(75)),
}
"""Degradations of benchmark inputs: steps, each rounded to 8 bits. "none" leaves x as it is."""


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
    for step in NAMED[check_degradation(name)]:
        x = to_uint8(step(x.astype(np.float64), rng))
    return x

"""What happens to pictures before they are enlarged: blur, resizing, noise, sharpening, JPEG.

Pictures are [H, W, 3] in float64 with values from 0 to 255. Only `jpeg` rounds and clips them.
Functions that take a generator `rng` draw from it only. All code is NumPy: libvips and its codecs
hang in the forked processes that prepare batches.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from prosr.errors import ConfigError, suggestion
from prosr.layouts import Settings
from prosr.resample import keys_cubic, mirrored_indices, to_uint8

Picture = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Rng = np.random.Generator
Size = tuple[int, int]
Method = Literal["area", "linear", "cubic"]
Kind = Literal["bicubic", "jpeg", "real", "bsrgan", "realesrgan", "mild", "difficult", "wild"]
Quality = Annotated[int, Field(ge=1, le=100)]

LUMA = np.array([0.299, 0.587, 0.114])


class Degradation(Settings):
    """What happens to the inputs of a training: a recipe's table `degradation`.

    `bicubic` leaves x as it is in benchmarks, `jpeg` and `real` start from there. The others start
    from y: `bsrgan` and `realesrgan` as published, `mild`, `difficult` and `wild` after the NTIRE
    challenge of 2018. A share `clean` of the pairs keeps the bicubic x. `quality` is the range of
    qualities of JPEG in `jpeg` and `real`.
    """

    kind: Kind = "bicubic"
    clean: float = Field(default=0.0, ge=0, le=1)
    quality: tuple[Quality, Quality] = (30, 95)

    @property
    def margin(self) -> int:
        """Pixels of x around a patch that are degraded with it, then cut off."""
        return {"bicubic": 0, "jpeg": 16, "real": 16}.get(self.kind, 8)

    def apply(self, x: Pixels, y: Pixels, rng: Rng) -> Pixels:
        """The degraded input of y, [sH, sW, 3], whose bicubic input is x, [H, W, 3]."""
        if self.kind == "bicubic" or rng.random() < self.clean:
            return x
        pipelines = {"jpeg": random_jpeg, "real": real, "bsrgan": bsrgan, "realesrgan": realesrgan}
        wild = partial(ntire, {"mild": 0.0, "difficult": 1.0}.get(self.kind, rng.random()))
        z, how = (x, self.quality) if self.kind in ("jpeg", "real") else (y, x.shape[:2])
        return to_uint8(pipelines.get(self.kind, wild)(z.astype(np.float64), how, rng))


def gaussian_kernel(
    side: int, sigmas: tuple[float, float], angle: float = 0, beta: float = 1, plateau: bool = False
) -> Picture:
    """A kernel, [side, side], with these sigmas of its axes, the first at `angle`.

    It is exp(−q^β/2), or 1 / (1 + q^β) as a plateau, q the quadratic form of position: Gaussian
    with β = 1, else generalized (Real-ESRGAN, 3.1).
    """
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
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
    mirrored = np.minimum(source, 2 * length - 1 - source)
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


def random_jpeg(x: Picture, quality: Size, rng: Rng, full: float = 0.2) -> Picture:
    """JPEG of a random quality and grid, with a share `full` of 4:4:4."""
    level, chroma = int(rng.integers(quality[0], quality[1] + 1)), 1 if rng.random() < full else 2
    return jpeg(x, level, chroma, (int(rng.integers(16)), int(rng.integers(16))))


def real(x: Picture, quality: Size, rng: Rng) -> Picture:
    """Ours, for networks that serve most users: JPEG nearly always, all else light and rare.

    In one of ten, x was reduced from a larger JPEG, as messengers do.
    """
    z = x
    if rng.random() < 0.15:
        a, b, angle = rng.uniform((0.3, 0.3, 0), (1, 1, math.pi))
        z = blur(z, gaussian_kernel(7, (a, b), angle))
    if rng.random() < 0.25:
        sigma, gray, poisson = 2 ** rng.uniform(-1, 3), rng.random() < 0.5, rng.random() < 0.5
        z = add_noise(z, 0 if poisson else sigma, sigma / 8 * poisson, gray, rng)
    if rng.random() < 0.2:
        z = sharpen(z, rng.uniform(0.5, 1.5), rng.uniform(0.2, 1.2))
    if rng.random() < 0.1:
        z = resize(z, _times(x.shape, rng.uniform(1.1, 1.6)), "cubic")
        z = resize(random_jpeg(z, quality, rng), x.shape[:2], "area")
    for share in (0.92, 0.2):
        z = random_jpeg(z, quality, rng) if rng.random() < share else z
    return z


# Of both orders: sigma of blur, shares of larger and smaller, range of resizing, noise.
_ORDERS = ((3.0, (0.2, 0.7), (0.15, 1.5), 30, 3.0), (1.5, (0.3, 0.4), (0.3, 1.2), 25, 2.5))


def realesrgan(y: Picture, size: Size, rng: Rng) -> Picture:
    """Real-ESRGAN's pipeline from y to x of `size` (Wang et al. 2021, section 3 and code)."""
    z = y
    for order, (most, shares, limits, normal, poisson) in enumerate(_ORDERS):
        if order == 0 or rng.random() < 0.8:
            z = blur(z, _published_kernel(rng, most))
        up, down, draw = rng.uniform(1, limits[1]), rng.uniform(limits[0], 1), rng.random()
        factor = up if draw < shares[0] else down if draw < sum(shares) else 1.0
        z = _resampled(z, _times(size if order else y.shape, factor), rng)
        sigma, photons = rng.uniform(1, normal), rng.uniform(0.05, poisson)
        sigma, photons = (sigma, 0) if rng.random() < 0.5 else (0, photons)
        z = add_noise(z, sigma, photons, rng.random() < 0.4, rng)
        z = z if order else random_jpeg(z, (30, 95), rng, full=0)
    early, cutoff = rng.random() < 0.5, rng.uniform(math.pi / 3, math.pi)
    z = random_jpeg(z, (30, 95), rng, full=0) if early else z
    z = _resampled(z, size, rng)
    z = blur(z, sinc_kernel(_side(rng), cutoff)) if rng.random() < 0.8 else z
    return z if early else random_jpeg(z, (30, 95), rng, full=0)


def _published_kernel(rng: Rng, most: float) -> Picture:
    """Real-ESRGAN's kernels: a sinc in one of ten, else one of six kinds with sigmas from 0.2."""
    side, (a, b), angle = _side(rng), rng.uniform(0.2, most, 2), rng.uniform(-math.pi, math.pi)
    if rng.random() < 0.1:
        return sinc_kernel(side, rng.uniform(math.pi / (3 if side < 13 else 5), math.pi))
    kind = int(rng.choice(6, p=(0.45, 0.25, 0.12, 0.03, 0.12, 0.03)))
    beta = (1.0, rng.uniform(0.5, 4), rng.uniform(1, 2))[kind // 2]
    return gaussian_kernel(side, (a, b if kind % 2 else a), angle, beta, plateau=kind >= 4)


def bsrgan(y: Picture, size: Size, rng: Rng) -> Picture:
    """BSRGAN's shuffled pipeline from y to x of `size` (Zhang et al. 2021, section 3 and code).

    Its camera noise repeats a camera's whole processing; Poisson noise takes its place.
    """
    z, scale = y, y.shape[0] / size[0]
    order = rng.permutation(7)
    # The random reduction (2) comes before the one to `size` (3).
    order[np.isin(order, (2, 3))] = 2, 3
    for step in order:
        if step < 2:
            ellipse = np.sqrt((4 + scale) * rng.random(2)) + 0.1
            circle = np.full(2, (2 + 0.2 * scale) * rng.random() + 0.1)
            a, b = ellipse if rng.random() < 0.5 else circle
            z = blur(z, gaussian_kernel(_side(rng), (a, b), rng.uniform(0, math.pi)))
        elif step == 2 and rng.random() < 0.75:
            z = _resampled(z, _times(z.shape, 1 / rng.uniform(1, 2 * scale)), rng)
        elif step == 3:
            z = _resampled(z, size, rng)
        elif step == 4:
            z = add_noise(z, rng.uniform(2, 25), 0, rng.random() < 0.4, rng)
        elif step == 5 and rng.random() < 0.9:
            z = random_jpeg(z, (30, 95), rng, full=0)
        elif step == 6 and rng.random() < 0.25:
            z = add_noise(z, 0, rng.uniform(0.05, 1), False, rng)
    return random_jpeg(z, (30, 95), rng, full=0)


def ntire(strength: float, y: Picture, size: Size, rng: Rng) -> Picture:
    """Tracks 2 to 4 of NTIRE 2018: mild is `strength` 0, difficult 1, wild anything between.

    The report (Timofte et al. 2018) names motion blur, shifts and Poisson noise, without values.
    Assumed for mild, twice as much for difficult: paths of 2 to 6 pixels of y, shifts up to s/4,
    the noise of 255 photons at white.
    """
    path, most = (1 + strength) * rng.uniform(2, 6), (1 + strength) * y.shape[0] / size[0] / 4
    # The standard deviation of positions on a straight path.
    z = blur(y, gaussian_kernel(15, (path / math.sqrt(12), 0.3), rng.uniform(0, math.pi)))
    rows, columns = (
        np.clip(np.arange(n) + round(rng.uniform(-most, most)), 0, n - 1) for n in y.shape[:2]
    )
    z = resize(z[rows[:, None], columns], size, "cubic")
    return add_noise(z, 0, 1 + strength, False, rng)


def _times(size: tuple[int, ...], factor: float) -> Size:
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def _side(rng: Rng) -> int:
    return 2 * int(rng.integers(3, 11)) + 1


def _resampled(z: Picture, size: Size, rng: Rng) -> Picture:
    methods: tuple[Method, ...] = ("area", "linear", "cubic")
    return resize(z, size, methods[int(rng.integers(3))], antialias=False)


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
        "resize": lambda z, factor, method: resize(z, _times(z.shape, factor), method),
    }
    for step, *values in NAMED[check_degradation(name)]:
        x = to_uint8(steps[step](x.astype(np.float64), *values))
    return x

"""Random degradations of training pairs: a recipe's table `degradation`, and published pipelines.

Pictures are as in `prosr.data.degradations`. What is random is drawn from `rng` only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from prosr.data.decoded import Pixels
from prosr.data.degradations import (
    Method,
    Picture,
    Rng,
    Size,
    add_noise,
    blur,
    gaussian_kernel,
    jpeg,
    resize,
    sharpen,
    sinc_kernel,
    times,
    webp,
)
from prosr.layouts import Settings
from prosr.resample import to_uint8

Kind = Literal["bicubic", "jpeg", "real", "bsrgan", "realesrgan", "mild", "difficult", "wild"]
Quality = Annotated[int, Field(ge=1, le=100)]


class Degradation(Settings):
    """How training inputs are degraded: a recipe's table `degradation`.

    `bicubic` leaves x as it is in benchmarks, `jpeg` and `real` start from there. The others start
    from y: `bsrgan` and `realesrgan` as published, `mild`, `difficult` and `wild` after the NTIRE
    challenge of 2018. A share `clean` of the pairs keeps the bicubic x. `quality` is the range of
    qualities in `jpeg` and `real`, and `webp` the share of compressions there that are WebP
    instead of JPEG.
    """

    kind: Kind = "bicubic"
    clean: float = Field(default=0.0, ge=0, le=1)
    quality: tuple[Quality, Quality] = (30, 95)
    webp: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.quality[0] > self.quality[1]:
            raise ValueError("quality: the lower end comes first")
        unused = {"bicubic": ("clean", "quality", "webp"), "jpeg": (), "real": ()}
        for key in unused.get(self.kind, ("quality", "webp")):
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f'{key}: has no effect with kind = "{self.kind}"')
        return self

    @property
    def margin(self) -> int:
        """Pixels of x around a patch that are degraded with it, then cut off."""
        return {"bicubic": 0, "jpeg": 16, "real": 16}.get(self.kind, 8)

    def apply(self, x: Pixels, y: Pixels, rng: Rng) -> Pixels:
        """The degraded input of y, [sH, sW, 3], whose bicubic input is x, [H, W, 3]."""
        if self.kind == "bicubic" or rng.random() < self.clean:
            return x
        if self.kind in ("jpeg", "real"):
            compress = partial(random_compression, self.quality, self.webp)
            degrade = compress if self.kind == "jpeg" else partial(real, compress)
            return to_uint8(degrade(x.astype(np.float64), rng))
        pipelines = {"bsrgan": bsrgan, "realesrgan": realesrgan}
        wild = partial(ntire, {"mild": 0.0, "difficult": 1.0}.get(self.kind, rng.random()))
        degraded = pipelines.get(self.kind, wild)(y.astype(np.float64), x.shape[:2], rng)
        return to_uint8(degraded)


def random_compression(quality: Size, share: float, x: Picture, rng: Rng) -> Picture:
    """Compress at a random quality and grid: WebP in this share, else JPEG, one in five 4:4:4."""
    level, grid = int(rng.integers(quality[0], quality[1] + 1)), rng.integers(16, size=2)
    top, left, kind, full = int(grid[0]), int(grid[1]), rng.random(), rng.random() < 0.2
    if kind < share:
        return webp(x, level, (top, left))
    return jpeg(x, level, 1 if full else 2, (top, left))


def real(compress: Callable[[Picture, Rng], Picture], x: Picture, rng: Rng) -> Picture:
    """Ours, for networks that serve most users: compressed nearly always, all else light and rare.

    In one of ten, x was reduced from a larger compressed picture, as messengers do.
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
        z = resize(z, times(x.shape, rng.uniform(1.1, 1.6)), "cubic")
        z = resize(compress(z, rng), x.shape[:2], "area")
    for share in (0.92, 0.2):
        z = compress(z, rng) if rng.random() < share else z
    return z


# Of both orders: sigma of blur, shares of larger and smaller, range of resizing, noise.
_ORDERS = ((3.0, (0.2, 0.7), (0.15, 1.5), 30, 3.0), (1.5, (0.3, 0.4), (0.3, 1.2), 25, 2.5))


def realesrgan(y: Picture, size: Size, rng: Rng) -> Picture:
    """Real-ESRGAN's pipeline from y to x of `size` (Wang et al. 2021, section 3 and code).

    Their y is sharpened before, which is left out here.
    """
    z = y
    for order, (most, shares, limits, normal, poisson) in enumerate(_ORDERS):
        if order == 0 or rng.random() < 0.8:
            z = blur(z, _published_kernel(rng, most))
        up, down, draw = rng.uniform(1, limits[1]), rng.uniform(limits[0], 1), rng.random()
        factor = up if draw < shares[0] else down if draw < sum(shares) else 1.0
        z = _resampled(z, times(size if order else y.shape, factor), rng)
        sigma, photons = rng.uniform(1, normal), rng.uniform(0.05, poisson)
        sigma, photons = (sigma, 0) if rng.random() < 0.5 else (0, photons)
        z = np.clip(add_noise(z, sigma, photons, rng.random() < 0.4, rng), 0, 255)
        z = z if order else _published_jpeg(z, rng)
    early, cutoff = rng.random() < 0.5, rng.uniform(math.pi / 3, math.pi)
    z = _published_jpeg(z, rng) if early else z
    z = _resampled(z, size, rng)
    z = blur(z, sinc_kernel(_side(rng), cutoff)) if rng.random() < 0.8 else z
    return z if early else _published_jpeg(z, rng)


def _published_jpeg(z: Picture, rng: Rng) -> Picture:
    """JPEG with 4:2:0 and a quality from 30 to 95, as in both published pipelines."""
    return jpeg(z, int(rng.integers(30, 96)), 2, (int(rng.integers(16)), int(rng.integers(16))))


def _published_kernel(rng: Rng, most: float) -> Picture:
    """Real-ESRGAN's kernels: a sinc in one of ten, else one of six kinds with sigmas from 0.2."""
    side, (a, b), angle = _side(rng), rng.uniform(0.2, most, 2), rng.uniform(-math.pi, math.pi)
    if rng.random() < 0.1:
        return sinc_kernel(side, rng.uniform(math.pi / (3 if side < 13 else 5), math.pi))
    kind = int(rng.choice(6, p=(0.45, 0.25, 0.12, 0.03, 0.12, 0.03)))
    # Their code draws β below 1 and above it equally often: half of the plateaus have β = 1.
    low, high = ((1.0, 1.0), (0.5, 4.0), (1.0, 2.0))[kind // 2]
    beta = rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
    return gaussian_kernel(side, (a, b if kind % 2 else a), angle, beta, plateau=kind >= 4)


def bsrgan(y: Picture, size: Size, rng: Rng) -> Picture:
    """BSRGAN's shuffled pipeline from y to x of `size` (Zhang et al. 2021, section 3 and code).

    Its camera noise repeats a camera's whole processing; Poisson noise takes its place. Kernels
    have up to 21 pixels, as in the paper.
    """
    z, scale = y, y.shape[0] // size[0]
    if scale == 4 and rng.random() < 0.25:
        half, bicubic = times(y.shape, 0.5), rng.random() < 0.5
        z, scale = resize(z, half, "cubic") if bicubic else _resampled(z, half, rng), 2
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
            z = _resampled(z, times(z.shape, 1 / rng.uniform(1, 2 * scale)), rng)
        elif step == 2:
            sigma, middle = rng.uniform(0.1, 0.6 * scale), (scale - 1) / 2
            kernel = gaussian_kernel(25, (sigma, sigma), centre=-middle)
            z = blur(z, kernel)[::scale, ::scale]
        elif step == 3:
            z = _resampled(z, size, rng)
        elif step == 4:
            z = _three_way_noise(z, rng)
        elif step == 5 and rng.random() < 0.9:
            z = _published_jpeg(z, rng)
        elif step == 6 and rng.random() < 0.25:
            z = add_noise(z, 0, rng.uniform(0.05, 1), False, rng)
        z = np.clip(z, 0, 255)
    return _published_jpeg(z, rng)


def _three_way_noise(z: Picture, rng: Rng) -> Picture:
    """BSRGAN's normal noise: in 40 % each R, G and B by itself or all alike, else correlated."""
    sigma, draw = rng.uniform(2, 25), rng.random()
    if draw < 0.8:
        return add_noise(z, sigma, 0, draw < 0.4, rng)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    correlated: Picture = rng.standard_normal(z.shape) @ (np.sqrt(rng.random((3, 1))) * turn)
    return z + 25 * correlated


def ntire(strength: float, y: Picture, size: Size, rng: Rng) -> Picture:
    """Tracks 2 to 4 of NTIRE 2018: mild is `strength` 0, difficult 1, wild anything between.

    The report (Timofte et al. 2018) simulates a camera, with operators to be learned from pairs. It
    names motion blur, shifts and Poisson noise, without values. Assumed for mild, twice as much
    for difficult: paths of 2 to 6 pixels of y, shifts up to s/4, the noise of 255 photons at white.
    """
    path, most = (1 + strength) * rng.uniform(2, 6), (1 + strength) * y.shape[0] / size[0] / 4
    # The standard deviation of positions on a straight path.
    z = blur(y, gaussian_kernel(15, (path / math.sqrt(12), 0.3), rng.uniform(0, math.pi)))
    rows, columns = (
        np.clip(np.arange(n) + round(rng.uniform(-most, most)), 0, n - 1) for n in y.shape[:2]
    )
    z = resize(z[rows[:, None], columns], size, "cubic")
    return add_noise(z, 0, 1 + strength, False, rng)


def _side(rng: Rng) -> int:
    return 2 * int(rng.integers(3, 11)) + 1


def _resampled(z: Picture, size: Size, rng: Rng) -> Picture:
    methods: tuple[Method, ...] = ("area", "linear", "cubic")
    return resize(z, size, methods[int(rng.integers(3))], antialias=False)

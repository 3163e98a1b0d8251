"""Degradations: JPEG is libjpeg's, named inputs are the same bytes, kernels are what they say."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from prosr.data.degradations import (
    NAMED,
    Method,
    add_noise,
    blur,
    degraded,
    gaussian_kernel,
    jpeg,
    resize,
    sharpen,
    sinc_kernel,
    webp,
)
from prosr.data.pipelines import Degradation, Kind, _three_way_noise
from prosr.errors import ConfigError
from prosr.layouts import validated
from prosr.resample import imresize_double, make_input

Pixels = NDArray[np.uint8]


def scene(height: int, width: int) -> Pixels:
    """Edges, ramps, texture and saturated colour, in integer arithmetic."""
    row, column = np.mgrid[:height, :width]
    red = (row * 5 + column * 3) % 256
    green = np.where((row // 11 + column // 7) % 2, 230, 20)
    blue = (row * row + 7 * column) % 97 * 2 + 30
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def libjpeg(x: Pixels, quality: int, chroma: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=quality, subsampling={1: 0, 2: 2}[chroma])
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("chroma", [1, 2])
@pytest.mark.parametrize("quality", [1, 30, 49, 75, 95, 100])
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (50, 33), (1, 1), (3, 18)])
def test_jpeg_is_libjpegs_to_the_bit(size: tuple[int, int], quality: int, chroma: int) -> None:
    x = scene(*size)
    np.testing.assert_array_equal(
        jpeg(x.astype(float), quality, chroma), libjpeg(x, quality, chroma)
    )


def test_a_shifted_grid_is_that_of_a_cropped_jpeg() -> None:
    x = scene(64, 80).astype(float)
    whole, part = jpeg(x, 40), jpeg(x[21:], 40, grid=(5, 0))
    # Only the blocks that the crop divides see other pixels.
    np.testing.assert_array_equal(part[16:], whole[37:])


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("scale", [2, 8])
def test_a_pipeline_is_a_function_of_its_generator(kind: Kind, scale: int) -> None:
    y = scene(20 * scale, 17 * scale)
    x, how = make_input(y, scale), Degradation(kind=kind)
    results = [
        [how.apply(x, y, np.random.default_rng(seed)) for seed in range(5)] for _ in range(2)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert {(one.shape, one.dtype) for one in results[0]} == {(x.shape, x.dtype)}
    assert len({one.tobytes() for one in results[0]}) == (1 if kind == "bicubic" else 5)


@pytest.mark.parametrize("kind", ["real", "bsrgan", "realesrgan"])
def test_a_degraded_picture_stays_in_place(kind: Kind) -> None:
    """On average over many degradations, a bright square keeps its centre and colour."""
    y = np.full((128, 128, 3), 40, np.uint8)
    y[32:96, 32:96] = (200, 120, 160)
    x, rng = make_input(y, 4), np.random.default_rng(0)
    mean = np.mean([Degradation(kind=kind).apply(x, y, rng) for _ in range(40)], axis=0)
    weight, position = mean.sum(axis=2) - 120, np.arange(32) - 15.5
    for axis in (0, 1):
        assert abs((weight.sum(axis=1 - axis) * position).sum() / weight.sum()) < 0.15
    assert np.abs(mean[12:20, 12:20].mean(axis=(0, 1)) - (200, 120, 160)).max() < 8


@pytest.mark.parametrize("name", NAMED)
def test_named_inputs_are_the_same_bytes_everywhere(name: str) -> None:
    digest = hashlib.sha256(degraded(scene(61, 85), name).tobytes()).hexdigest()[:16]
    assert digest == DIGESTS[name]


DIGESTS = {
    "none": "979b91539f499a7a",
    "jpeg-90": "1bd6e249be1eec18",
    "jpeg-75": "5cf724afa6b2d864",
    "jpeg-50": "d7e5adca608f9af1",
    "blur": "72119104cae9410b",
    "noise": "16089deb775be143",
    "real-1": "fac40022782a6e04",
    "real-2": "b2558411b068dbd1",
    "real-3": "63dcbde0e8ef6044",
}


def test_an_unknown_degradation_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no degradation is called 'jpg-75'; did you mean"):
        degraded(scene(8, 8), "jpg-75")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"kind": "real", "quality": [95, 30]}, "quality: the lower end comes first"),
        ({"quality": [30, 40]}, 'quality: has no effect with kind = "bicubic"'),
        ({"kind": "realesrgan", "webp": 0.5}, "webp: has no effect"),
        ({"kind": "bicubic", "clean": 0.5}, "clean: has no effect"),
        ("real", "must be a table, with keys of kind, clean, quality, webp"),
    ],
)
def test_a_table_without_its_effect_is_refused(table: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        validated(Degradation, table)
    assert validated(Degradation, Degradation(kind="real").model_dump()).kind == "real"


def test_kernels_sum_to_one() -> None:
    for kernel in (
        gaussian_kernel(9, (2.0, 0.7), 0.3),
        gaussian_kernel(7, (1, 2), 1.0, 2.0, True),
        sinc_kernel(15, 1.5),
    ):
        assert kernel.sum() == pytest.approx(1, abs=1e-12)


def test_a_sinc_kernel_removes_what_is_above_its_cutoff() -> None:
    response = np.abs(np.fft.rfft2(sinc_kernel(41, 1.5), (128, 128)))
    assert response[0, : int(1.2 / np.pi * 64)].min() > 0.85
    assert response[0, int(1.8 / np.pi * 64) :].max() < 0.15


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 1), (np.pi / 2, 0)])
def test_a_kernel_is_as_wide_as_its_sigmas(angle: float, axis: int) -> None:
    kernel = gaussian_kernel(31, (3.0, 1.5), angle)
    position = np.arange(31) - 15
    for direction, sigma in ((axis, 3.0), (1 - axis, 1.5)):
        profile = kernel.sum(axis=1 - direction)
        assert np.sqrt((profile * position**2).sum()) == pytest.approx(sigma, rel=0.01)


def test_blur_is_a_convolution_with_mirrored_borders() -> None:
    x = np.zeros((15, 15, 1))
    x[7, 7] = 1
    kernel = gaussian_kernel(5, (1.0, 0.5), 0.4)
    np.testing.assert_allclose(blur(x, kernel)[5:10, 5:10, 0], kernel, atol=1e-12)
    flat = np.full((6, 5, 3), 77.0)
    np.testing.assert_allclose(blur(flat, kernel), flat)


def test_antialiased_cubic_is_the_one_bicubic() -> None:
    x = scene(48, 64).astype(np.float64)
    np.testing.assert_allclose(resize(x, (12, 16), "cubic"), imresize_double(x, 4), atol=1e-9)


@pytest.mark.parametrize("method", ["area", "linear", "cubic"])
@pytest.mark.parametrize("size", [(30, 40), (7, 90), (20, 20)])
def test_resizing_keeps_ramps_in_place(method: Method, size: tuple[int, int]) -> None:
    row = np.repeat((np.arange(60.0) + 0.5)[:, None, None], 40, axis=1)
    x = np.broadcast_to(row, (60, 40, 3))
    expected = (np.arange(size[0]) + 0.5) * 60 / size[0]
    inner = slice(size[0] // 4, -(size[0] // 4))
    result = resize(x, size, method)[inner, 0, 0]
    np.testing.assert_allclose(result, expected[inner], atol=0.5 if method == "area" else 0.04)


def test_noise_has_the_strength_asked_for() -> None:
    x, rng = np.full((200, 200, 3), 100.0), np.random.default_rng(0)
    for normal, poisson in ((5.0, 0.0), (0.0, 0.5)):
        noise = add_noise(x, normal, poisson, False, rng) - x
        assert noise.std() == pytest.approx(5, rel=0.02)
        gray = add_noise(x, normal, poisson, True, rng) - x
        np.testing.assert_allclose(gray[..., 0], gray[..., 2], atol=1e-9)


def test_sharpening_leaves_halos_and_flat_areas() -> None:
    x = np.full((20, 40, 3), 50.0)
    x[:, 20:] = 200
    z = sharpen(x, 1.0, 0.6)
    assert z[10, 19, 0] < 40 and z[10, 20, 0] > 210
    np.testing.assert_allclose(z[:, :12], 50)


@pytest.mark.parametrize("size", [(40, 56), (17, 9), (1, 1)])
def test_webp_is_what_another_program_reads(size: tuple[int, int]) -> None:
    x = scene(*size)
    file = io.BytesIO()
    Image.fromarray(x).save(file, "WEBP", quality=60)
    decoded = np.asarray(Image.open(file).convert("RGB")).astype(float)
    # Two copies of libwebp; its versions may differ slightly.
    assert np.abs(webp(x.astype(float), 60) - decoded).mean() < 2
    assert webp(x.astype(float), 60, (5, 3)).shape == x.shape


def test_webp_takes_its_share_of_the_compressions() -> None:
    """Without chroma subsampling, JPEG 95 is closer to a picture of saturated edges than WebP."""
    x, rng = scene(32, 32), np.random.default_rng(0)
    errors = []
    for share in (0.0, 1.0):
        how = Degradation(kind="jpeg", quality=(95, 95), webp=share)
        changed = [how.apply(x, x, rng).astype(float) - x for _ in range(20)]
        errors.append([np.abs(one).mean() for one in changed])
    assert min(errors[0]) < 0.7 * min(errors[1])


def test_correlated_noise_of_bsrgan_has_at_most_its_published_strength() -> None:
    rng = np.random.default_rng(3)
    flat = np.full((64, 64, 3), 128.0)
    deviations = [(_three_way_noise(flat, rng) - flat).std() for _ in range(60)]
    assert min(deviations) > 1.5 and max(deviations) < 27


def test_the_reduction_by_picking_pixels_keeps_its_place() -> None:
    """A kernel that is displaced by (s − 1)/2 makes up for picking the first of s pixels."""
    ramp = np.tile(np.arange(160.0)[:, None, None], (1, 40, 3))
    kernel = gaussian_kernel(25, (1.5, 1.5), centre=-1.5)
    picked = blur(ramp, kernel)[::4, ::4]
    np.testing.assert_allclose(picked[5:-5, 5, 0], np.arange(5, 35) * 4 + 1.5, atol=1e-3)

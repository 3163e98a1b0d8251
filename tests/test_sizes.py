"""Sizes that people ask for: exact to the pixel, and the same in tiles as whole."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from prosr.errors import ConfigError
from prosr.images.reading import Picture
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.loading import load
from prosr.inference.upscaler import Upscaler
from prosr.resample import resize_axis
from prosr.sizes import Request, choose, requested
from test_upscaler import NET, RESERVED, WHOLE

RNG = np.random.default_rng(0)
BICUBIC = load("bicubic")

SIDE = st.integers(1, 5000)
SIZE = st.tuples(SIDE, SIDE)


def result(wish: dict[str, object], height: int, width: int, **options: Any) -> tuple[int, int]:
    """Width and height of a result, as people write them."""
    return choose(wish, **options).route((height, width), (2, 4, 8), direct=False).size[::-1]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, (400, 240)),
        ({"scale": 3}, (300, 180)),
        ({"scale": "1.5"}, (150, 90)),
        ({"scale": 1.005}, (101, 60)),
        ({"scale": 12}, (1200, 720)),
        ({"width": 333}, (333, 200)),
        ({"height": "99"}, (165, 99)),
        ({"fit": "200x200"}, (200, 120)),
        ({"fit": "500 x 90"}, (150, 90)),
        ({"fill": "200x200"}, (200, 200)),
        ({"long-side": 250}, (250, 150)),
        ({"megapixels": "0.06"}, (316, 189)),
        ({"print": "10x8cm"}, (1181, 709)),
        ({"print": "8x10CM"}, (1181, 709)),
        ({"print": "4x3in"}, (1200, 720)),
        ({"width": 10}, (10, 6)),
    ],
)
def test_each_request_is_exact_to_the_pixel(
    wish: dict[str, object], expected: tuple[int, int]
) -> None:
    assert result(wish, 60, 100) == expected


@given(SIZE, SIZE)
def test_what_fits_touches_one_side_and_keeps_the_aspect(
    source: tuple[int, int], box: tuple[int, int]
) -> None:
    (height, width), (wide, high) = source, box
    if max(Fraction(wide, width), Fraction(high, height)) > 16:
        return
    w, h = result({"fit": f"{wide}x{high}"}, height, width)
    assert (w == wide and h <= high) or (h == high and w <= wide)
    factor = min(Fraction(wide, width), Fraction(high, height))
    assert abs(w - max(Fraction(1), factor * width)) <= Fraction(1, 2)
    assert abs(h - max(Fraction(1), factor * height)) <= Fraction(1, 2)
    assert result({"fill": f"{wide}x{high}"}, height, width) == box


@given(SIZE, st.integers(1, 40))
def test_megapixels_are_the_most_there_may_be(source: tuple[int, int], most: int) -> None:
    height, width = source
    if 1_000_000 * most > 256 * height * width:
        return
    w, h = result({"megapixels": most}, height, width)
    assert w * h <= 1_000_000 * most < (w + 1) * (h + 1)


@given(st.integers(4, 64), st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_the_next_larger_scale_enlarges_once_or_two_do(
    quarters: int, source: tuple[int, int]
) -> None:
    factor = Fraction(quarters, 4)
    route = choose({"scale": str(float(factor))}).route(source, (2, 4, 8), direct=False)
    needed = max(a / b for a, b in zip(route.size, source, strict=True))
    assert route.scale >= needed
    assert len(route.passes) == (needed > 1) + (needed > 8)
    assert route.scale / 2 < needed or route.scale == 1


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({"scale": "0"}, "scale 0 is not a number from 1 to 16"),
        ({"scale": "nan"}, "scale nan is not a number from 1 to 16"),
        ({"scale": math.inf}, "scale inf is not a number"),
        ({"scale": "1e9"}, "scale 1e9 is not a number"),
        ({"scale": -2}, "scale -2 is not a number"),
        ({"scale": 17}, "scale 17 is not a number from 1 to 16"),
        ({"scale": "1/2"}, "scale 1/2 is not a number"),
        ({"width": "1.5"}, "width 1.5 is not a whole number above 0"),
        ({"width": "9" * 5000}, "is not a whole number above 0 and at most 1,000,000"),
        ({"fit": "0x0"}, "fit 0 is not a whole number above 0"),
        ({"fit": "5"}, "fit '5' is not a size; write 3840x2160 (print 60x40cm)"),
        ({"fit": "5x5cm"}, "fit '5x5cm' is not a size"),
        ({"print": "60x40"}, "print '60x40' is not a size; write 3840x2160 (print 60x40cm)"),
        ({"megapixels": "0"}, "megapixels 0 is not a number above 0"),
        ({"longside": 5}, "longside: give one of scale, long-side"),
        ({"width": 5, "scale": 2}, "width, scale: give one of scale, long-side"),
    ],
)
def test_a_wrong_request_is_one_line(wish: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(wish)
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


def test_what_would_be_enlarged_too_much_is_refused_with_the_largest_size() -> None:
    with pytest.raises(ConfigError, match="ask for at most 16 times, 1600×960"):
        result({"width": 1700}, 60, 100)
    with pytest.raises(ConfigError, match="at most 4 times, 400×240"):
        choose({"scale": 5}).route((60, 100), (2,), direct=False)


def test_an_exact_size_in_python_is_filled() -> None:
    assert requested(size=(150, 90)) == choose({"fill": "150x90"})
    array = RNG.random((6, 10, 3), dtype=np.float32)
    assert BICUBIC.upscale(array, size=(15, 7)).shape == (7, 15, 3)
    for size in (3, (1, 2, 3), (0, 4), ("a", "b"), (2.5, 3)):
        with pytest.raises(ConfigError):
            requested(size=size)
    with pytest.raises(ConfigError, match="scale, fill: give one of scale"):
        BICUBIC.upscale(array, 2, size=(20, 12))


@pytest.mark.parametrize("wish", [None, 4, 4.0, np.int64(4), "4", choose({})])
def test_a_factor_is_a_number_of_whatever_type(wish: Any) -> None:
    assert requested(wish) == choose({"scale": 4})


def test_a_picture_turned_by_its_exif_has_the_width_that_people_see(tmp_path: Path) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    made = Picture(BICUBIC.upscale(tmp_path / "a.jpg", choose({"width": 100})))
    assert (made.width, made.height) == (100, 150)
    with Image.open(tmp_path / "a.jpg") as turned:
        assert BICUBIC.upscale(turned, choose({"width": 100})).size == (150, 100)


WISHES = st.one_of(
    st.integers(4, 64).map(lambda quarters: choose({"scale": quarters / 4})),
    st.tuples(st.integers(1, 90), st.integers(1, 90)).map(lambda box: requested(size=box)),
    st.integers(1, 60).map(lambda side: choose({"long-side": side})),
)
TILE_BYTES = {1: 500_000, 2: 2_000_000, 4: 5_000_000, 8: 20_000_000, 16: 60_000_000}


@settings(max_examples=40)
@given(WISHES, st.tuples(st.integers(8, 60), st.integers(8, 60), st.integers(1, 4)))
def test_tiled_equals_whole(request_: Request, shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(shape).random(shape, dtype=np.float32)
    try:
        route = WHOLE.route(shape[:2], request_)
    except ConfigError:
        return
    tiled = Upscaler(TorchEngine(NET, RESERVED + TILE_BYTES[route.scale]), "tiny", "")
    results = [one.upscale(array, request_, note=str) for one in (tiled, WHOLE)]
    assert results[0].shape == (*route.size, shape[2])
    assert np.abs(results[0] - results[1]).max() < 1e-5


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 39), st.integers(0, 39))
def test_a_part_of_an_axis_is_that_of_the_whole(length: int, out: int, a: int, b: int) -> None:
    x = np.random.default_rng(length).random(length)
    start, stop = sorted((a % out, b % out))
    whole = resize_axis(x, 0, out)
    part = resize_axis(x, 0, out, part=(length, 0, start, stop + 1))
    assert np.array_equal(part, whole[start : stop + 1])


def test_the_result_is_the_networks_reduced_by_the_bicubic() -> None:
    array = RNG.random((20, 30, 3), dtype=np.float32)
    enlarged = WHOLE.upscale(array, 4)
    reduced = resize_axis(resize_axis(enlarged, 0, 60), 1, 90)
    assert np.abs(WHOLE.upscale(array, 3) - np.clip(reduced, 0, 1)).max() < 1e-6


@pytest.mark.parametrize("wish", [{"scale": 1.5}, {"fill": "20x20"}, {"width": 9}, {"scale": 12}])
@pytest.mark.parametrize("kind", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_every_kind_of_picture_is_reduced_as_itself(kind: str, wish: dict[str, object]) -> None:
    """Flat colours stay, and alpha, gray and depth too."""
    value: dict[str, Any] = {
        "L": 90,
        "LA": (90, 255),
        "RGB": (9, 99, 200),
        "RGBA": (9, 99, 200, 255),
    }
    image = Image.new(kind, (40, 30), value.get(kind, 40_000))
    given = np.asarray(image)
    result = BICUBIC.upscale(given, choose(wish), note=str)
    assert result.dtype == given.dtype and result.ndim == given.ndim
    assert (result == given[0, 0]).all()


def test_what_is_transparent_does_not_show_in_a_reduced_picture() -> None:
    red = np.zeros((400, 400, 4), np.uint8)
    red[..., 0] = 220
    red[100:300, 90:310, 3] = 255
    black = red.copy()
    black[red[..., 3] == 0] = 0
    on_red, on_black = (
        BICUBIC.upscale(one, choose({"width": 40}), note=str) for one in (red, black)
    )
    seen = on_red[..., 3] > 8
    assert np.abs(on_red[seen].astype(int) - on_black[seen]).max() <= 1


def test_a_gray_picture_keeps_its_16_bits_through_the_reduction() -> None:
    ramp = np.linspace(0, 65_535, 300).astype(np.uint16)[None].repeat(20, 0)
    result = BICUBIC.upscale(ramp, 1.5)
    assert len(np.unique(result)) > 400

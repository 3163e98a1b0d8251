"""Tiled equals whole: for any size, tile and network, and nothing is ever left out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prosr.config import PRESETS
from prosr.errors import ConfigError, InferenceError
from prosr.inference.tiling import Block, Enlarge, fit, plan, tiled
from prosr.layouts import ProSRConfig
from prosr.nets.cost import trace
from prosr.nets.generator import ProSR

TINY = [
    ProSRConfig(
        features=5,
        growth=(3, 2, 2),
        bottleneck=2,
        dcus=((2, 1), (1,), (1,)),
        residual=residual,
        padding="zeros" if residual else "reflect",
        value_range=1.0,
    )
    for residual in (False, True)
]


def lively(config: ProSRConfig) -> ProSR:
    """A network whose residual is as large as a picture, so that errors would show."""
    torch.manual_seed(0)
    net = ProSR(config).eval()
    for scale in net.scales:
        with torch.inference_mode():
            size = net.residual(torch.rand(1, 3, 24, 24), scale).std()
        for parameter in net.r[str(scale)].parameters():
            parameter.data /= 4 * size
    return net


def on_torch(net: ProSR) -> Enlarge:
    def enlarge(x: Block, scale: int) -> Block:
        with torch.inference_mode():
            y: Block = net(torch.from_numpy(x), scale).numpy()
        return y

    return enlarge


def random_block(*size: int) -> Block:
    return np.random.default_rng(size).random((1, 3, *size), np.float32)


NETS = [lively(config) for config in TINY]


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(0, 20),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_a_plan_keeps_every_pixel_once_with_its_halo(
    size: tuple[int, int], halo: int, room: tuple[int, int]
) -> None:
    tile = (2 * halo + room[0], 2 * halo + room[1])
    kept = np.zeros(size, int)
    shapes = set()
    for t in plan(size, tile, halo):
        kept[t.rows.start : t.rows.stop, t.columns.start : t.columns.stop] += 1
        for span, length in ((t.rows, size[0]), (t.columns, size[1])):
            assert span.first == 0 or span.start - span.first >= halo
            assert span.last == length or span.last - span.stop >= halo
            assert 0 <= span.first <= span.start < span.stop <= span.last <= length
        shapes.add((t.rows.last - t.rows.first, t.columns.last - t.columns.first))
    assert (kept == 1).all()
    assert len(shapes) == 1
    assert all(got <= most + 1 for got, most in zip(shapes.pop(), tile, strict=True))


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.integers(1, 10**6),
    st.integers(0, 40),
)
def test_the_fitting_tile_is_within_its_pixels(
    size: tuple[int, int], pixels: int, halo: int
) -> None:
    try:
        tile = fit(size, pixels, halo)
    except ConfigError:
        assert min(pixels // max(size), int(pixels**0.5)) <= 2 * halo + 1
        return
    spans = [(t.rows, t.columns) for t in plan(size, tile, halo)][:1]
    assert all((r.last - r.first) * (c.last - c.first) <= pixels for r, c in spans)


@given(
    st.tuples(st.integers(100, 3000), st.integers(100, 3000)),
    st.integers(100, 2000),
    st.integers(0, 40),
)
def test_the_fitting_tiles_compute_no_more_than_square_ones(
    size: tuple[int, int], side: int, halo: int
) -> None:
    side -= side % 2
    fitting, square = (plan(size, tile, halo) for tile in (fit(size, side**2, halo), (side, side)))
    assert sum(tile.area for tile in fitting) <= sum(tile.area for tile in square)


@settings(max_examples=60)
@given(
    st.sampled_from(NETS),
    st.sampled_from([2, 4, 8]),
    st.tuples(st.integers(2, 48), st.integers(2, 48)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_tiled_equals_whole(
    net: ProSR, scale: int, size: tuple[int, int], room: tuple[int, int]
) -> None:
    halo, x = trace(net, scale).radius, random_block(*size)
    whole = on_torch(net)(x, scale)
    parts = tiled(on_torch(net), x, scale, (2 * halo + room[0], 2 * halo + room[1]), halo)
    assert parts.shape == whole.shape
    assert np.abs(parts - whole).max() < 1e-5


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_halo_that_is_too_short_is_noticed(scale: int) -> None:
    net, x = NETS[0], random_block(64, 64)
    halo = trace(net, scale).radius
    parts = tiled(on_torch(net), x, scale, (2 * halo, 2 * halo), halo // 2)
    assert np.abs(parts - on_torch(net)(x, scale)).max() > 1e-5


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "prosr-l" else [])
        for name in PRESETS
        if name.startswith("prosr")
    ],
)
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_tiled_equals_whole_for_every_preset(name: str, scale: int) -> None:
    config = PRESETS[name]
    assert isinstance(config, ProSRConfig)
    net = lively(config)
    halo = trace(net, scale).radius
    x = random_block(5, 2 * halo + 12)
    parts = tiled(on_torch(net), x, scale, (5, 2 * halo + 6), halo)
    assert np.abs(parts - on_torch(net)(x, scale)).max() < 1e-5


def doubled(x: Block) -> Block:
    return x.repeat(2, axis=2).repeat(2, axis=3)


def test_a_failing_tile_is_named() -> None:
    calls = []

    def fails_third(x: Block, scale: int) -> Block:
        calls.append(x)
        if len(calls) == 3:
            raise RuntimeError("out of\nmemory")
        return doubled(x)

    expected = "part 3 of 4 failed with RuntimeError: out of memory"
    with pytest.raises(InferenceError, match=re.escape(expected)):
        tiled(fails_third, random_block(8, 8), 2, (4, 4), 0)


def test_the_place_of_a_tile_is_named_in_pixels() -> None:
    tile = plan((8, 8), (4, 4), 0)[2]
    assert str(tile) == "rows 4–7, columns 0–3"


def test_a_tile_of_the_wrong_size_is_an_error() -> None:
    with pytest.raises(InferenceError, match=r"came out as \(8, 8\), not \(16, 16\)"):
        tiled(lambda x, scale: x, random_block(8, 8), 2, (8, 8), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tile_with_values_that_are_not_finite_is_an_error(value: float) -> None:
    def spoil(x: Block, scale: int) -> Block:
        y = doubled(x)
        y[0, 0, 3, 5] = value
        return y

    with pytest.raises(InferenceError, match="values that are not finite"):
        tiled(spoil, random_block(8, 8), 2, (8, 8), 0)


def test_a_tile_that_is_all_halo_is_refused() -> None:
    with pytest.raises(ConfigError, match="no room for a halo of 4"):
        plan((20, 20), (8, 20), 4)
    with pytest.raises(ConfigError, match="too small for a halo of 4"):
        fit((20, 20), 64, 4)

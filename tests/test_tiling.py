"""Tiled equals whole: for any size, tile and network, and nothing is ever left out."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prosr.checkpoints.weights import build
from prosr.config import presets
from prosr.errors import ConfigError, InferenceError
from prosr.inference.tiling import fit, plan, tiled
from prosr.layouts import ProSRConfig

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


def lively(config: ProSRConfig) -> torch.nn.Module:
    """A network whose residual is as large as a picture, so that errors would show."""
    torch.manual_seed(0)
    net = build(config).eval()
    for scale in (2, 4, 8):
        with torch.inference_mode():
            size = net.residual(torch.rand(1, 3, 24, 24), scale).std()  # type: ignore[operator]
        for parameter in net.r[str(scale)].parameters():  # type: ignore[index, union-attr]
            parameter.data /= 4 * size
    return net


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
    kept = torch.zeros(size, dtype=torch.int)
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
    st.tuples(st.integers(1, 48), st.integers(1, 48)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_tiled_equals_whole(
    net: torch.nn.Module, scale: int, size: tuple[int, int], room: tuple[int, int]
) -> None:
    halo: int = net.receptive_radius(scale)  # type: ignore[operator]
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(size[0] * 100 + size[1]))
    with torch.inference_mode():
        whole = net(x, scale)
        parts = tiled(net, x, scale, (2 * halo + room[0], 2 * halo + room[1]), halo)
    assert parts.shape == whole.shape
    assert (parts - whole).abs().max() < 1e-5


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_halo_that_is_too_short_is_noticed(scale: int) -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    net = NETS[0]
    halo: int = net.receptive_radius(scale)  # type: ignore[operator]
    with torch.inference_mode():
        whole = net(x, scale)
        parts = tiled(net, x, scale, (2 * halo, 2 * halo), halo // 2)
    assert (parts - whole).abs().max() > 1e-5


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "prosr-l" else [])
        for name in presets()
        if name.startswith("prosr")
    ],
)
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_tiled_equals_whole_for_every_preset(name: str, scale: int) -> None:
    config = presets()[name]
    assert isinstance(config, ProSRConfig)
    net = lively(config)
    halo: int = net.receptive_radius(scale)  # type: ignore[operator]
    x = torch.rand(1, 3, 5, 2 * halo + 12)
    with torch.inference_mode():
        whole = net(x, scale)
        parts = tiled(net, x, scale, (5, 2 * halo + 6), halo)
    assert (parts - whole).abs().max() < 1e-5


def nothing_but(value: float) -> Tensor:
    return torch.full((1, 3, 8, 8), value)


def test_a_failing_tile_is_named() -> None:
    calls = []

    def fails_third(x: Tensor, scale: int) -> Tensor:
        calls.append(x)
        if len(calls) == 3:
            raise RuntimeError("out of\nmemory")
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    expected = "tile 3 of 4 (rows 4–7, columns 0–3) failed with RuntimeError: out of memory"
    with pytest.raises(InferenceError, match=re.escape(expected)):
        tiled(fails_third, torch.rand(1, 3, 8, 8), 2, (4, 4), 0)


def test_a_tile_of_the_wrong_size_or_without_numbers_is_an_error() -> None:
    with pytest.raises(InferenceError, match=r"came out as \(8, 8\), not \(16, 16\)"):
        tiled(lambda x, scale: x, nothing_but(1), 2, (8, 8), 0)
    with pytest.raises(InferenceError, match="no numbers"):
        tiled(lambda x, scale: x / 0, nothing_but(0), 1, (8, 8), 0)


def test_a_tile_that_is_all_halo_is_refused() -> None:
    with pytest.raises(ConfigError, match="no room for a halo of 4"):
        plan((20, 20), (8, 20), 4)
    with pytest.raises(ConfigError, match="too small for a halo of 4"):
        fit((20, 20), 64, 4)

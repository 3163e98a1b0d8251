from __future__ import annotations

import gc
import weakref

import pytest
import torch

from prosr.checkpoints.weights import build
from prosr.errors import ConfigError
from prosr.inference.engines import planned
from prosr.inference.engines.planned import PlannedEngine
from prosr.inference.engines.pytorch import TorchRunner
from prosr.inference.memory import RESERVED
from prosr.layouts import ProSRConfig

DEEP = ProSRConfig(
    features=8,
    growth=(4, 4, 4),
    dcus=((2,) * 6, (2,) * 2, (1,)),
    residual=True,
    value_range=1.0,
)


def torch_engine(net: torch.nn.Module, max_memory: int) -> PlannedEngine:
    return PlannedEngine(net, max_memory, TorchRunner())


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(DEEP).eval()


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_it_computes_what_the_network_does(net: torch.nn.Module, scale: int) -> None:
    x = torch.rand(1, 3, 9, 11)
    with torch.inference_mode():
        assert (torch_engine(net, 10**9)(x, scale) - net(x, scale)).abs().max() < 1e-6


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_stage_by_stage_is_the_same_picture(
    net: torch.nn.Module, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "_LARGE", 96)
    monkeypatch.setattr(TorchRunner, "parting", 0.01)
    engine = torch_engine(net, RESERVED + {2: 4, 4: 12, 8: 40}[scale] * 1_000_000)
    x = torch.rand(1, 3, 96, 96)
    monkeypatch.setattr(engine, "_whole", lambda scale: pytest.fail("it went at once"))
    y = engine(x, scale)
    with torch.inference_mode():
        assert (y - net(x, scale)).abs().max() < 1e-5


@pytest.mark.parametrize("memory", [RESERVED + 12_000_000, 10**9])
def test_an_engine_goes_with_its_last_user(net: torch.nn.Module, memory: int) -> None:
    """It may hold gigabytes, too much to wait for a collection of circles."""
    engine = torch_engine(net, memory)
    engine(torch.rand(1, 3, 24, 24), 4)
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert gone() is None
    finally:
        gc.enable()


def test_whole_tiles_are_kept_where_stages_take_longer(
    net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "_LARGE", 96)
    quick, slow = TorchRunner(), TorchRunner()
    monkeypatch.setattr(slow, "parting", 9.0)
    parted, whole = (PlannedEngine(net, RESERVED + 10_000_000, r) for r in (quick, slow))
    assert parted._staged(4) is not None
    assert whole._staged(4) is None
    assert whole.pixels(4) < parted.pixels(4)


@pytest.mark.parametrize(("resident", "released"), [(0, False), (10**12, True), (None, False)])
def test_freed_memory_goes_back_before_a_stage_that_has_no_room(
    net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, resident: int | None, released: bool
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(planned, "resident_memory", lambda: resident)
    monkeypatch.setattr(planned, "release_freed_memory", lambda: calls.append(True))
    monkeypatch.setattr(planned, "_LARGE", 96)
    torch_engine(net, RESERVED + 10_000_000)(torch.rand(1, 3, 96, 96), 4)
    assert bool(calls) is released


def test_more_memory_means_larger_tiles(net: torch.nn.Module) -> None:
    pixels = [torch_engine(net, memory * 10**9).pixels(4) for memory in (1, 2, 4)]
    assert pixels == sorted(pixels) and pixels[0] < pixels[-1]


def test_too_little_memory_is_refused_with_what_is_enough(net: torch.nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"0.1 GB is too low; give at least 0\.5 GB"):
        torch_engine(net, 10**8)


def test_the_given_network_is_left_as_it_is(net: torch.nn.Module) -> None:
    before = {name: value.stride() for name, value in net.state_dict().items()}
    torch_engine(net, 10**9)(torch.rand(1, 3, 8, 8), 2)
    assert {name: value.stride() for name, value in net.state_dict().items()} == before

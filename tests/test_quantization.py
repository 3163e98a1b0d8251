"""8-bit integers are used where they are faster and lose next to nothing, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prosr.inference.precision import bf16_pays
from torch import nn

from prosr.checkpoints.weights import build
from prosr.data.benchmarks import Benchmark, open_benchmark
from prosr.errors import ConfigError
from prosr.inference.engines import make_engine
from prosr.lab import quantization
from prosr.lab.quantization import try_int8
from prosr.layouts import BicubicConfig, ProSRConfig

SMALL = ProSRConfig(features=8, growth=(8,), dcus=((2,),), residual=True, value_range=1.0)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return build(SMALL).eval()


@pytest.fixture
def pictures(tmp_path: Path) -> Benchmark:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        coarse.resize((48, 40)).save(tmp_path / "pictures" / f"{index}.png")
    return open_benchmark(tmp_path / "pictures")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def int8_files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.glob("*int8*"))


def judge(monkeypatch: pytest.MonkeyPatch, speed: float, limit: float) -> None:
    """Let 8 bits be so many times as fast, and a loss of up to `limit` dB be borne."""
    monkeypatch.setattr(quantization, "_seconds", lambda *_: {"native": speed, "int8": 1.0})
    monkeypatch.setattr(quantization, "LOSS", limit)


def interrupt(*_: object) -> float:
    raise KeyboardInterrupt


def test_what_pays_is_kept_and_runs_from_then_on(
    net: nn.Module, pictures: Benchmark, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(monkeypatch, speed=2.0, limit=1.0)
    verdict = try_int8(net, 2, [pictures], 10**9, print)
    assert verdict.kept and verdict.speed == 2.0 and abs(verdict.loss) < 1.0
    assert int8_files(own_cache) == [".bin", ".xml"]
    engine, x = make_engine(net, 10**9, "openvino"), torch.rand(1, 3, 12, 14)
    assert engine.precision == ("bf16" if bf16_pays() else "fp32")
    error = engine(x, 2) - make_engine(net, 10**9, "torch")(x, 2)
    assert engine.precision == "int8"
    assert 1e-7 < error.abs().max() < 0.1


@pytest.mark.parametrize(("speed", "limit"), [(0.9, 1.0), (2.0, -1.0)])
def test_what_does_not_is_not(
    net: nn.Module,
    pictures: Benchmark,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    speed: float,
    limit: float,
) -> None:
    judge(monkeypatch, speed, limit)
    assert not try_int8(net, 2, [pictures], 10**9, print).kept
    assert not int8_files(own_cache)


def test_what_could_not_be_judged_is_not_kept(
    net: nn.Module, pictures: Benchmark, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "_seconds", interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_int8(net, 2, [pictures], 10**9, print)
    assert not int8_files(own_cache)


def test_an_interrupted_trial_leaves_what_was_kept(
    net: nn.Module, pictures: Benchmark, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(monkeypatch, speed=2.0, limit=1.0)
    assert try_int8(net, 2, [pictures], 10**9, print).kept
    kept = {path: path.read_bytes() for path in own_cache.glob("*int8*")}

    monkeypatch.setattr(quantization, "_seconds", interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_int8(net, 2, [pictures], 10**9, print)
    assert {path: path.read_bytes() for path in own_cache.glob("*int8*")} == kept


def test_too_few_pictures_and_networks_without_a_residual_are_refused(
    net: nn.Module, pictures: Benchmark
) -> None:
    with pytest.raises(ConfigError, match="3 pictures are too few"):
        try_int8(net, 2, [pictures.first(3)], 10**9, print)
    with pytest.raises(ConfigError, match="without a residual of its own cannot be quantized"):
        try_int8(build(BicubicConfig()), 2, [pictures], 10**9, print)

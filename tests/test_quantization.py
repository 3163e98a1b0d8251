"""8-bit integers are used where they are faster and lose next to nothing, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prosr.checkpoints.weights import save_weights
from prosr.data.benchmarks import Benchmark, open_benchmark
from prosr.errors import ConfigError, ProSRError
from prosr.inference.engines.openvino import OpenVinoEngine, bf16_is_faster, int8_path
from prosr.inference.loading import find_model
from prosr.lab import quantization
from prosr.lab.quantization import try_int8
from prosr.layouts import ProSRConfig
from prosr.models import Model
from prosr.nets.build import build

SMALL = ProSRConfig(features=8, growth=(8,), dcus=((2,),), residual=True, value_range=1.0)


@pytest.fixture
def pictures(tmp_path: Path) -> Benchmark:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        coarse.resize((48, 40)).save(tmp_path / "pictures" / f"{index}.png")
    return open_benchmark(tmp_path / "pictures")


@pytest.fixture(autouse=True)
def int8_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "int8"


@pytest.fixture
def model(tmp_path: Path, int8_folder: Path) -> Model:
    return exported(tmp_path / "small.safetensors", SMALL)


def exported(path: Path, layout: ProSRConfig) -> Model:
    torch.manual_seed(0)
    save_weights(path, build(layout), {})
    return find_model(path)


def kept(folder: Path) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in folder.glob("*")}


def judge(monkeypatch: pytest.MonkeyPatch, speed: float, limit: float) -> None:
    """Let 8 bits be so many times as fast, and a loss of up to `limit` dB be allowed."""
    monkeypatch.setattr(quantization, "_seconds", lambda *_: {"native": speed, "int8": 1.0})
    monkeypatch.setattr(quantization, "LOSS", limit)


def interrupt(*_: object) -> float:
    raise KeyboardInterrupt


def test_a_graph_that_pays_is_kept_and_runs_from_then_on(
    model: Model, pictures: Benchmark, int8_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(monkeypatch, speed=2.0, limit=1.0)
    verdict = try_int8(model, 2, [pictures], 10**9, print)
    assert verdict.kept and verdict.speed == 2.0 and abs(verdict.loss) < 1.0
    assert sorted(kept(int8_folder)) == [".bin", ".xml"]
    engine, native = OpenVinoEngine(model, 10**9), OpenVinoEngine(model, 10**9, "native")
    assert engine.precision == native.precision == ("bf16" if bf16_is_faster() else "fp32")
    x = np.random.default_rng(0).random((1, 3, 12, 14), np.float32)
    exact = OpenVinoEngine(model, 10**9, "fp32")(x, 2)
    error = np.abs(engine(x, 2) - exact).max()
    assert engine.precision == "int8"
    assert 1e-7 < error < 0.1
    assert np.abs(native(x, 2) - exact).max() < 1e-2 and native.precision != "int8"


def test_a_quantized_graph_is_not_used_for_another_layout_of_the_same_weights(
    model: Model, tmp_path: Path
) -> None:
    other = exported(tmp_path / "small.safetensors", SMALL.model_copy(update={"value_range": 2.0}))
    assert other.sha256 == model.sha256
    assert int8_path(other, 2) != int8_path(model, 2)


@pytest.mark.parametrize(("speed", "limit"), [(0.9, 1.0), (2.0, -1.0)])
def test_a_graph_that_is_slower_or_worse_is_not_kept(
    model: Model,
    pictures: Benchmark,
    int8_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    speed: float,
    limit: float,
) -> None:
    judge(monkeypatch, speed, limit)
    assert not try_int8(model, 2, [pictures], 10**9, print).kept
    assert not kept(int8_folder)


def test_an_interrupted_trial_keeps_nothing(
    model: Model, pictures: Benchmark, int8_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "_seconds", interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_int8(model, 2, [pictures], 10**9, print)
    assert not kept(int8_folder)


def test_an_interrupted_trial_leaves_an_earlier_graph(
    model: Model, pictures: Benchmark, int8_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(monkeypatch, speed=2.0, limit=1.0)
    assert try_int8(model, 2, [pictures], 10**9, print).kept
    before = kept(int8_folder)

    monkeypatch.setattr(quantization, "_seconds", interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_int8(model, 2, [pictures], 10**9, print)
    assert kept(int8_folder) == before


def test_too_few_pictures_are_refused(model: Model, pictures: Benchmark) -> None:
    with pytest.raises(ConfigError, match="3 pictures are too few"):
        try_int8(model, 2, [pictures.first(3)], 10**9, print)


def test_networks_without_a_residual_are_refused(pictures: Benchmark) -> None:
    with pytest.raises(ConfigError, match=r"without a residual \(Eq\. 2\) cannot be quantized"):
        try_int8(find_model("bicubic"), 2, [pictures], 10**9, print)


def test_a_scale_that_the_model_lacks_is_refused(model: Model, pictures: Benchmark) -> None:
    with pytest.raises(ConfigError, match="small does not enlarge by 4, only by 2"):
        try_int8(model, 4, [pictures], 10**9, print)


def test_a_cache_that_cannot_be_written_is_refused(
    model: Model, pictures: Benchmark, int8_folder: Path
) -> None:
    int8_folder.touch()
    with pytest.raises(ProSRError, match="cannot be written"):
        try_int8(model, 2, [pictures], 10**9, print)

"""Every engine makes the same picture, whatever its size."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from prosr.inference.engines.planned import PlannedEngine
from torch import Tensor, nn

import prosr
from prosr.checkpoints.weights import build
from prosr.config import PRESETS, NetConfig, preset
from prosr.data.benchmarks import open_benchmark
from prosr.errors import ConfigError, InferenceError
from prosr.inference import engines
from prosr.inference.engines import Engine, make_engine
from prosr.inference.engines.openvino import OpenVinoRunner
from prosr.inference.memory import RESERVED
from prosr.inference.tiling import fit, tiled
from prosr.layouts import DirectConfig, ProSRConfig

OTHERS = ("openvino", "onnx")
TINY = ProSRConfig(features=6, growth=(4, 4, 4), dcus=((2,), (1,), (1,)), residual=True)
LAYOUTS: dict[str, NetConfig] = {
    "residual": TINY.model_copy(update={"value_range": 1.0}),
    "plain": ProSRConfig(features=6, growth=(4, 4), dcus=((1, 1), (1,)), value_range=1.0),
    "zeros": TINY.model_copy(update={"padding": "zeros", "value_range": 1.0}),
    "direct": DirectConfig(scale=4, features=6, growth=4, dcus=(2,), batch_norm=True),
}


def tiny(layout: str) -> nn.Module:
    torch.manual_seed(0)
    return build(LAYOUTS[layout]).eval()


def picture(*size: int) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))


def agreement(a: Tensor, b: Tensor) -> float:
    """PSNR in dB between two results in [0, 1]."""
    error = (a - b).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)


def same(engine: Engine) -> float:
    """Least agreement in dB of what an engine computes with float32 in PyTorch."""
    return 100 if engine.precision == "fp32" else 50


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_picture_that_torch_gives(name: str, layout: str) -> None:
    net, x = tiny(layout), picture(23, 30)
    engine = make_engine(net, 10**9, name)
    y = engine(x, 4)
    with torch.inference_mode():
        assert agreement(y, net(x, 4)) > same(engine)
        assert agreement(y, net(x, 4) + 1e-2) < 41, "the measure can tell"


@pytest.mark.parametrize("name", ["vdsr", "lapsrn-x2", "edsr-baseline-x2"])
def test_pictures_are_not_rounded_where_no_residual_can_be_told_apart(name: str) -> None:
    gray = picture(24, 24)[:, :1].expand(1, 3, 24, 24).contiguous()
    net = build(preset(name)).eval()
    engine = make_engine(net, 10**9, "openvino")
    y = engine(gray, 2)
    assert engine.precision == "fp32"
    with torch.inference_mode():
        assert agreement(y, net(gray, 2)) > 100
    if name != "edsr-baseline-x2":
        assert (y - y.mean(dim=1, keepdim=True)).abs().max() < 1e-4


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (2, 2), (3, 17), (131, 130)])
def test_every_size_gives_the_picture_that_torch_gives(name: str, size: tuple[int, int]) -> None:
    net, x = tiny("residual"), picture(*size)
    engine = make_engine(net, 10**9, name)
    y = engine(x, 8)
    with torch.inference_mode():
        expected = net(x, 8)
    assert y.shape == expected.shape
    assert agreement(y, expected) > same(engine)


@pytest.mark.parametrize("name", ("torch", *OTHERS))
def test_a_batch_of_tiles_is_each_of_them(name: str) -> None:
    engine = make_engine(tiny("residual"), 10**9, name)
    x = torch.rand(3, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    each = torch.cat([engine(one, 2) for one in torch.split(x, 1)])
    assert (engine(x, 2) - each).abs().max() < 1e-6


@pytest.mark.parametrize("name", OTHERS)
def test_stage_by_stage_is_the_same_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = TINY.model_copy(update={"value_range": 1.0, "dcus": ((2,) * 6, (2,) * 2, (1,))})
    torch.manual_seed(0)
    net, x = build(deep).eval(), picture(96, 96)
    monkeypatch.setattr(engines.planned, "_LARGE", 96)
    engine = make_engine(net, RESERVED + 70_000_000, name)
    assert engine.pixels(8) < 96**2
    with torch.inference_mode():
        assert agreement(engine(x, 8), net(x, 8)) > same(engine)


@pytest.mark.parametrize("name", OTHERS)
def test_tiled_equals_whole(name: str) -> None:
    engine, x = make_engine(tiny("residual"), 10**9, name), picture(60, 44)
    halo = engine.radius(4)
    parts = tiled(engine, x, 4, fit((60, 44), 40**2, halo), halo)
    assert (parts - engine(x, 4)).abs().max() < 1e-6


def test_the_graph_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = picture(8, 8)
    y = make_engine(tiny("zeros"), 10**9, "openvino")(x, 2)
    before = set(cache.iterdir())
    assert before

    def fail(*_: object) -> None:
        raise AssertionError("traced again")

    monkeypatch.setattr("prosr.inference.engines.openvino.trace", fail)
    assert torch.equal(make_engine(tiny("zeros"), 10**9, "openvino")(x, 2), y)
    assert set(cache.iterdir()) == before


def test_bfloat16_is_near_enough_where_there_is_any() -> None:
    runner = OpenVinoRunner()
    if runner.precision != "bf16":
        pytest.skip("this processor computes no bfloat16")
    net, x = tiny("residual"), picture(23, 30)
    with torch.inference_mode():
        assert agreement(PlannedEngine(net, 10**9, runner)(x, 4), net(x, 4)) > 50


def test_the_choice_on_a_processor_is_openvino_for_networks_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Other(nn.Conv2d):
        pass

    monkeypatch.setattr(engines, "_device", lambda: "cpu")
    assert make_engine(tiny("zeros"), 10**9).name == "openvino"
    assert make_engine(Other(3, 3, 1), 10**9).name == "torch"
    assert make_engine(build(PRESETS["bicubic"]), 10**9).name == "torch"
    monkeypatch.setattr(engines, "find_spec", lambda package: None)
    assert make_engine(tiny("zeros"), 10**9).name == "torch"


def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"needs onnxruntime and onnx; .*'prosr\[onnx\]'"):
        make_engine(tiny("zeros"), 10**9, "onnx")


def test_an_extra_brings_all_that_its_engine_needs() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    for name, needed in engines._PACKAGES.items():
        extra = project["project"]["optional-dependencies"][name]
        assert set(needed) <= {requirement.partition(">")[0] for requirement in extra}


@pytest.mark.parametrize("name", OTHERS)
def test_an_engine_without_the_exporters_package_is_not_chosen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda package: package != "onnx" or None)
    monkeypatch.setattr(engines, "_device", lambda: "cpu")
    assert make_engine(tiny("zeros"), 10**9).name == "torch"
    with pytest.raises(ConfigError, match="and onnx; install it with"):
        make_engine(tiny("zeros"), 10**9, name)


def test_an_unknown_engine_is_refused_with_the_known() -> None:
    with pytest.raises(ConfigError, match="'ncnn'; use one of: auto, torch, openvino, onnx"):
        make_engine(tiny("zeros"), 10**9, "ncnn")


@pytest.mark.parametrize("name", OTHERS)
def test_a_network_that_cannot_be_exported_is_an_error_of_one_line(name: str) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor, scale: int) -> Tensor:
            # The tracer keeps the branch of its own example.
            y = x if x.shape[2] == 18 else x + 1
            return y.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

        def receptive_radius(self, scale: int) -> int:
            return 0

    with pytest.raises(InferenceError, match="the exported network is 1 off at 14×9"):
        make_engine(Odd(), 10**9, name)(picture(9, 9), 2)


def test_no_engine_is_imported_unless_it_runs() -> None:
    import subprocess

    code = (
        "import sys, numpy, prosr; "
        "prosr.load('prosr-xs', engine='torch').upscale(numpy.zeros((4, 4)), 2); "
        "sys.exit(any(name in sys.modules for name in ('openvino', 'onnxruntime', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_on_set5_every_engine_agrees(prosr_data: Path, scale: int) -> None:
    reference = prosr.load("prosr-xs", engine="torch")
    others = [prosr.load("prosr-xs", engine=name) for name in OTHERS]
    for pair in open_benchmark(prosr_data / "benchmarks" / "Set5").pairs(scale):
        x = (pair.x / 255).astype(np.float32)
        y = torch.from_numpy(reference.upscale(x, scale))
        for other in others:
            least = 60 if other.work.engine.precision == "fp32" else 50
            assert agreement(torch.from_numpy(other.upscale(x, scale)), y) > least


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signals on this system")
def test_a_signal_finds_its_stack_after_an_engine_has_gone_in_another_thread() -> None:
    code = """if True:
        import faulthandler, gc, os, signal, threading
        from prosr.inference.engines.openvino import OpenVinoRunner
        faulthandler.enable()
        signal.signal(signal.SIGUSR1, lambda number, frame: print("handled"))
        kept = [OpenVinoRunner()]
        dropping = threading.Thread(target=lambda: (kept.clear(), gc.collect()))
        dropping.start()
        dropping.join()
        os.kill(os.getpid(), signal.SIGUSR1)
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr

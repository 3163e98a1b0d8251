"""Every engine computes the same picture, whatever its size."""

from __future__ import annotations

import gc
import math
import signal
import subprocess
import sys
import tomllib
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import prosr
from prosr.checkpoints.weights import Weights, save_weights
from prosr.config import preset
from prosr.data.benchmarks import open_benchmark
from prosr.errors import CheckpointError, ConfigError, InferenceError
from prosr.inference import loading
from prosr.inference.engine import Engine
from prosr.inference.engines import openvino
from prosr.inference.engines.onnx import OnnxEngine
from prosr.inference.engines.openvino import OpenVinoEngine
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.loading import check_engine, find_model, load
from prosr.inference.tiling import Block, fit, tiled
from prosr.inference.upscaler import Upscaler
from prosr.layouts import DirectConfig, NetConfig, ProSRConfig
from prosr.models import Model
from prosr.nets.build import build
from prosr.nets.network import Network

MEMORY = 10**9
TINY = ProSRConfig(
    features=6, growth=(4, 4, 4), dcus=((2,), (1,), (1,)), residual=True, value_range=1.0
)
LAYOUTS: dict[str, NetConfig] = {
    "residual": TINY,
    "plain": ProSRConfig(features=6, growth=(4, 4), dcus=((1, 1), (1,)), value_range=1.0),
    "zeros": TINY.model_copy(update={"padding": "zeros", "back_projections": 1}),
    "direct": DirectConfig(
        scale=4, features=6, growth=4, dcus=(2,), batch_norm=True, value_range=1.0
    ),
}
ENGINES: dict[str, Callable[[Model], Engine]] = {
    "openvino": lambda model: OpenVinoEngine(model, MEMORY),
    "openvino fp32": lambda model: OpenVinoEngine(model, MEMORY, "fp32"),
    "onnx": lambda model: OnnxEngine(model, MEMORY),
}
GRAPH_ENGINES = pytest.mark.parametrize("name", ENGINES)


def exported(layout: NetConfig, folder: Path) -> tuple[Network, Model]:
    """A network with fresh parameters, and its graphs; equal ones come from the cache."""
    torch.manual_seed(0)
    net = build(layout).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    save_weights(folder / "tiny.safetensors", net, {})
    return net, find_model(folder / "tiny.safetensors")


def picture(*size: int) -> Block:
    return np.random.default_rng(0).random((1, 3, *size), np.float32)


def on_torch(net: Network, x: Block, scale: int) -> Block:
    with torch.inference_mode():
        y: Block = net(torch.from_numpy(x), scale).numpy()
    return y


def agreement(a: Block, b: Block) -> float:
    """PSNR in dB between two results in [0, 1]."""
    assert a.shape == b.shape
    error = float(np.square(a - b).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def same(engine: Engine) -> float:
    """Least agreement in dB of an engine's results with PyTorch's in float32."""
    return 100 if engine.precision == "fp32" else 50


@GRAPH_ENGINES
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_scale_gives_the_result_of_torch(
    name: str, layout: str, tmp_path: Path
) -> None:
    net, model = exported(LAYOUTS[layout], tmp_path)
    engine, x = ENGINES[name](model), picture(23, 30)
    assert engine.scales == net.scales
    for scale in net.scales:
        y, expected = engine(x, scale), on_torch(net, x, scale)
        assert agreement(y, expected) > same(engine)
        assert agreement(y, expected + np.float32(1e-2)) < 41, "the measure can tell"


@GRAPH_ENGINES
@pytest.mark.parametrize("layout", ["residual", "zeros"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (2, 2), (3, 17), (131, 130)])
def test_every_size_gives_the_result_of_torch(
    name: str, layout: str, size: tuple[int, int], tmp_path: Path
) -> None:
    net, model = exported(LAYOUTS[layout], tmp_path)
    engine, x = ENGINES[name](model), picture(*size)
    assert agreement(engine(x, 8), TorchEngine(net, MEMORY)(x, 8)) > same(engine)


@pytest.mark.parametrize("size", [(2, 2), (2, 9), (17, 3)])
def test_the_torch_engine_gives_the_result_of_the_network(size: tuple[int, int]) -> None:
    net, x = build(TINY).eval(), picture(*size)
    assert np.abs(TorchEngine(net, MEMORY)(x, 8) - on_torch(net, x, 8)).max() < 1e-6


def test_a_single_row_is_enlarged_as_two_equal_rows() -> None:
    net, x = build(TINY).eval(), picture(1, 9)
    expected = on_torch(net, x.repeat(2, axis=2), 8)[:, :, :8]
    assert np.abs(TorchEngine(net, MEMORY)(x, 8) - expected).max() < 1e-6


@pytest.mark.parametrize("name", ["vdsr", "lapsrn-x2", "edsr-baseline-x2"])
def test_networks_without_a_residual_run_in_float32(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "bf16_is_faster", lambda: True)
    net, model = exported(preset(name), tmp_path)
    engine = OpenVinoEngine(model, MEMORY)
    gray = picture(24, 24)[:, :1].repeat(3, axis=1)
    y = engine(gray, 2)
    assert engine.precision == "fp32"
    assert agreement(y, on_torch(net, gray, 2)) > 100
    if name != "edsr-baseline-x2":
        assert np.ptp(y, axis=1).max() < 1e-4, "gray stays gray"


def test_a_residual_may_be_computed_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "BF16" not in openvino.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    monkeypatch.setattr(openvino, "bf16_is_faster", lambda: True)
    net, model = exported(LAYOUTS["residual"], tmp_path)
    engine, x = OpenVinoEngine(model, MEMORY), picture(23, 30)
    assert engine.precision == "bf16"
    assert 50 < agreement(engine(x, 4), on_torch(net, x, 4)) < 100


@pytest.mark.parametrize("name", [*ENGINES, "torch"])
def test_a_batch_gives_the_result_of_each_tile(name: str, tmp_path: Path) -> None:
    net, model = exported(LAYOUTS["residual"], tmp_path)
    engine = TorchEngine(net, MEMORY) if name == "torch" else ENGINES[name](model)
    x = np.random.default_rng(0).random((3, 3, 9, 8), np.float32)
    each = np.concatenate([engine(x[i : i + 1], 2) for i in range(3)])
    assert np.abs(engine(x, 2) - each).max() < 1e-6


@GRAPH_ENGINES
def test_tiled_equals_whole(name: str, tmp_path: Path) -> None:
    engine, x = ENGINES[name](exported(LAYOUTS["residual"], tmp_path)[1]), picture(60, 44)
    halo = engine.radius(4)
    parts = tiled(engine, x, 4, fit((60, 44), 40**2, halo), halo)
    assert np.abs(parts - engine(x, 4)).max() < 1e-6


@pytest.mark.parametrize("small", [True, False])
def test_tiles_of_more_shapes_than_are_kept_compiled(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "_SMALL", 10**9 if small else 0)
    net, model = exported(LAYOUTS["residual"], tmp_path)
    engine = OpenVinoEngine(model, MEMORY, "fp32")
    for _ in range(2):
        for size in ((8, 9), (9, 8), (7, 7)):
            x = picture(*size)
            assert agreement(engine(x, 2), on_torch(net, x, 2)) > 100
    assert len(engine._compiled) <= openvino._SHAPES


@pytest.mark.parametrize("name", [*ENGINES, "torch"])
def test_the_memory_of_an_engine_goes_with_its_last_user(name: str, tmp_path: Path) -> None:
    """It may be gigabytes, too many to wait for the collection of cycles."""
    net, model = exported(LAYOUTS["residual"], tmp_path)
    engine = TorchEngine(net, MEMORY) if name == "torch" else ENGINES[name](model)
    upscaler = Upscaler(engine, "tiny", "")
    upscaler.upscale(np.zeros((24, 24, 3), np.uint8), 4)
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine, upscaler
        assert gone() is None
    finally:
        gc.enable()


def test_more_memory_means_larger_tiles(tmp_path: Path) -> None:
    net, _ = exported(LAYOUTS["residual"], tmp_path)
    pixels = [TorchEngine(net, memory * 10**9).pixels(4) for memory in (1, 2, 4)]
    assert pixels == sorted(set(pixels))


@GRAPH_ENGINES
def test_too_little_memory_is_refused_with_what_is_enough(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "MEMORY", 10**8)
    model = exported(LAYOUTS["residual"], tmp_path)[1]
    with pytest.raises(ConfigError, match=r"0.1 GB is too low; give at least 0\.3 GB"):
        ENGINES[name](model)


def decided(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[], float]) -> bool:
    """Whether bfloat16 counts as faster if a product takes so many `seconds`, and 1 in float32."""
    now = [0.0]

    def compiled(model: object, precision: str, threads: int) -> Callable[[object], None]:
        def run(inputs: object) -> None:
            now[0] += seconds() if precision == "bf16" else 1.0

        return run

    capable = SimpleNamespace(get_property=lambda *names: ["FP32", "BF16"])
    monkeypatch.setattr(openvino, "core", lambda: capable)
    monkeypatch.setattr(openvino, "compile_model", compiled)
    monkeypatch.setattr(openvino, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return openvino.bf16_is_faster.__wrapped__()


@pytest.mark.parametrize(("seconds", "faster"), [(0.25, True), (0.95, False), (2.0, False)])
def test_bfloat16_must_be_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: float, faster: bool
) -> None:
    assert decided(monkeypatch, lambda: seconds) == faster


def test_one_undisturbed_product_shows_that_bfloat16_is_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([0.5, *[9.0] * 100])
    assert decided(monkeypatch, lambda: next(times))


def test_processors_without_bfloat16_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        openvino, "core", lambda: SimpleNamespace(get_property=lambda *names: ["FP32"])
    )
    monkeypatch.setattr(openvino, "compile_model", None)
    assert not openvino.bf16_is_faster.__wrapped__()


@pytest.mark.parametrize(("gpu", "name"), [(False, "openvino"), (True, "torch")])
def test_openvino_is_the_default_unless_torch_has_a_gpu(
    gpu: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_has_gpu", lambda: gpu)
    assert check_engine("auto") == name
    assert load("bicubic").work.engine.name == name


@pytest.mark.parametrize(
    ("tool", "package", "device", "has"),
    [
        (None, "torch", "cuda", False),
        ("nvidia-smi", None, "cuda", False),
        ("nvidia-smi", "torch", "cpu", False),
        ("nvidia-smi", "torch", "cuda", True),
        ("rocm-smi", "torch", "cuda", True),
    ],
)
def test_torch_has_a_gpu_if_the_system_and_torch_have_it(
    tool: str | None, package: str | None, device: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("shutil.which", lambda name: name if name == tool else None)
    monkeypatch.setattr(loading, "find_spec", lambda name: package)
    monkeypatch.setattr("prosr.inference.engines.torch.best_device", lambda: device)
    assert loading._has_gpu() == has


@pytest.mark.parametrize(
    ("name", "package"),
    [("openvino", "openvino"), ("onnx", "prosr[onnx]"), ("torch", "prosr[train]")],
)
def test_a_missing_engine_is_refused_with_its_extra(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda package: None)
    with pytest.raises(ConfigError) as refusal:
        load("bicubic", engine=name)
    assert str(refusal.value).endswith(f"is not installed; run: pip install '{package}'")


def test_extras_bring_what_their_engines_import() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    for extra, packages in (("", ["openvino"]), ("onnx", ["onnxruntime"]), ("train", ["torch"])):
        assert set(packages) <= {requirement.partition(">")[0] for requirement in extras[extra]}


def test_an_unknown_engine_is_refused_with_the_known() -> None:
    with pytest.raises(ConfigError, match="'ncnn'; use one of: auto, openvino, onnx, torch"):
        load("bicubic", engine="ncnn")


def test_a_network_that_cannot_be_exported_runs_in_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Model:
        raise InferenceError("cannot be exported")

    net = build(TINY).eval()
    monkeypatch.setattr("prosr.checkpoints.graphs.open_foreign", refuse)
    monkeypatch.setattr(
        "prosr.checkpoints.finding.find", lambda name, strength: Weights("other", net, {}, "")
    )
    upscaler = load(tmp_path / "other.pth")
    assert (upscaler.name, upscaler.work.engine.name) == ("other", "torch")
    with pytest.raises(InferenceError, match="cannot be exported"):
        load(tmp_path / "other.pth", engine="openvino")


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_graph_is_refused_by_name(engine: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.x2.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.x2\.onnx: is not a graph of this version"):
        loading.open_engine(Model("a", "", 0, {2: path}), MEMORY, engine).radius(2)


def test_torch_alone_is_imported_where_it_is_asked_for() -> None:
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
    others = [prosr.load("prosr-xs", engine=name) for name in ("openvino", "onnx")]
    for pair in open_benchmark(prosr_data / "benchmarks" / "Set5").pairs(scale):
        x = (pair.x / 255).astype(np.float32)
        y = reference.upscale(x, scale)
        for other in others:
            least = 60 if other.work.engine.precision == "fp32" else 50
            assert agreement(other.upscale(x, scale), y) > least


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signals on this system")
def test_a_signal_finds_its_stack_after_an_engine_has_gone_in_another_thread() -> None:
    code = """if True:
        import faulthandler, gc, os, signal, threading
        import prosr
        faulthandler.enable()
        signal.signal(signal.SIGUSR1, lambda number, frame: print("handled"))
        kept = [prosr.load("bicubic", engine="openvino")]
        dropping = threading.Thread(target=lambda: (kept.clear(), gc.collect()))
        dropping.start()
        dropping.join()
        os.kill(os.getpid(), signal.SIGUSR1)
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


@pytest.mark.parametrize("name", ENGINES)
def test_graphs_of_other_scales_are_not_read(name: str, tmp_path: Path) -> None:
    model = exported(LAYOUTS["residual"], tmp_path)[1]
    graphs = {2: model.graphs[2], 4: tmp_path / "none", 8: tmp_path / "none"}
    for path in (graphs[4], graphs[8]):
        path.write_bytes(b"no graph")
    engine = ENGINES[name](Model("tiny", "", model.size, graphs))
    assert engine(picture(4, 4), 2).shape == (1, 3, 8, 8)

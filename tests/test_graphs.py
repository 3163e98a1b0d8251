"""Graphs compute what their networks do, state what they are, and store no weights twice."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from prosr import models
from prosr.checkpoints import graphs
from prosr.checkpoints.finding import find
from prosr.checkpoints.graphs import check, describe, export_weights, trace, write_graphs
from prosr.checkpoints.weights import save_weights
from prosr.config import net_config
from prosr.errors import CheckpointError, ConfigError, InferenceError
from prosr.inference import loading
from prosr.inference.engine import Engine, parse_metadata
from prosr.inference.engines.onnx import OnnxEngine
from prosr.inference.engines.openvino import OpenVinoEngine, read_graph
from prosr.inference.loading import find_model, load
from prosr.layouts import BicubicConfig, DirectConfig, NetConfig, ProSRConfig
from prosr.models import WeightsFile, bundled_models, find_weights, tensor_places
from prosr.nets.build import build
from prosr.nets.cost import trace as trace_cost
from prosr.nets.generator import ProSR
from prosr.nets.network import Network

SMALL = ProSRConfig(features=6, growth=(4, 4), dcus=((2,), (1,)), residual=True)
BUNDLED = [(name, scale) for name in bundled_models() for scale in (2, 4, 8)]


def saved(folder: Path, layout: NetConfig = SMALL, name: str = "mine") -> Path:
    torch.manual_seed(0)
    save_weights(folder / f"{name}.safetensors", build(layout), {"hours": 1})
    return folder / f"{name}.safetensors"


def metadata(path: Path) -> dict[str, str]:
    model = onnx.load(path, load_external_data=False)
    return {entry.key: entry.value for entry in model.metadata_props}


def stored_bytes(path: Path) -> dict[str, tuple[str, int, int]]:
    """Of each parameter that is not in the graph itself: its file, and where it lies there."""
    found = {}
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entry = {item.key: item.value for item in tensor.external_data}
            begin = int(entry["offset"])
            place = entry["location"], begin, begin + int(entry["length"])
            found[tensor.name.removeprefix("net.")] = place
    return found


@pytest.mark.parametrize(("name", "scale"), BUNDLED)
def test_bundled_graphs_compute_what_the_bundled_weights_do(name: str, scale: int) -> None:
    model, net = find_model(name), find(name).net
    x = np.random.default_rng(0).random((1, 3, 19, 26), np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(x), scale).numpy()
    engines: list[Engine] = [OpenVinoEngine(model, 10**9, "fp32"), OnnxEngine(model, 10**9)]
    for engine in engines:
        assert np.square(engine(x, scale) - expected).mean() < 1e-10


@pytest.mark.parametrize(("name", "scale"), BUNDLED)
def test_bundled_graphs_state_what_they_are(name: str, scale: int) -> None:
    path, net = find_model(name).graphs[scale], find(name).net
    stated, cost = metadata(path), trace_cost(net, scale)
    expected = describe(net, scale, name, find_weights(name).sha256)
    assert stated | {"made_by": ""} == expected | {"made_by": ""}
    assert (stated["model"], stated["scale"]) == (name, str(scale))
    for info in (read_graph(path)[1], parse_metadata(stated, path)):
        assert (info.radius, info.bytes) == (cost.radius, cost.bytes)
        assert info.may_round == (name != "bicubic")


@pytest.mark.parametrize(("name", "scale"), BUNDLED)
def test_bundled_graphs_are_small(name: str, scale: int) -> None:
    path = find_model(name).graphs[scale]
    assert path.stat().st_size < 200_000
    inside = onnx.load(path, load_external_data=False).graph.initializer
    assert sum(len(tensor.raw_data) for tensor in inside) < 1000


@pytest.mark.parametrize("name", ["prosr-xs", "progansr-xs"])
def test_bundled_parameters_are_stored_once(name: str) -> None:
    model, weights = find_model(name), find_weights(name)
    assert weights.path is not None
    expected = {
        key: (weights.path.name, *place) for key, place in tensor_places(weights.path).items()
    }
    found = {key: v for path in model.graphs.values() for key, v in stored_bytes(path).items()}
    assert found == expected


@pytest.mark.parametrize("layout", [SMALL, DirectConfig(scale=2, features=4, growth=2, dcus=(1,))])
def test_a_users_weights_are_stored_once_too(layout: NetConfig, tmp_path: Path) -> None:
    path = saved(tmp_path, layout)
    model = find_model(path)
    names = {key for graph in model.graphs.values() for key in stored_bytes(graph)}
    assert names == set(tensor_places(path))
    assert all(graph.stat().st_size < 200_000 for graph in model.graphs.values())


def test_a_users_weights_are_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    path = saved(tmp_path)
    x = np.random.default_rng(0).random((8, 8, 3), np.float32)
    y = load(path).upscale(x, 2)

    def refuse(*_: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(graphs, "export_weights", refuse)
    assert np.array_equal(load(path).upscale(x, 2), y)
    assert path.rename(tmp_path / "other.safetensors").exists()
    with pytest.raises(AssertionError, match="exported again"):
        load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("change", ["layout", "code", "parameter"])
def test_other_graphs_are_not_taken_for_a_networks_own(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    before = find_model(saved(tmp_path))
    path = saved(tmp_path)
    if change == "layout":
        path = saved(tmp_path, SMALL.model_copy(update={"value_range": 1.0}))
    elif change == "code":
        monkeypatch.setattr(models, "_code", lambda: "other")
    else:
        net = find(path).net
        next(net.parameters()).data.view(-1)[0] += 1e-3
        save_weights(path, net, {})
    assert find_model(path).graphs[2].parent != before.graphs[2].parent


def test_two_threads_may_export_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    path, together = saved(tmp_path), threading.Barrier(2)
    export = graphs.export_weights

    def wait(weights: WeightsFile, folder: Path) -> None:
        together.wait(60)
        export(weights, folder)
        together.wait(60)

    monkeypatch.setattr(loading, "_export", wait)
    found: list[models.Model] = []
    lock = threading.Lock()
    monkeypatch.setattr(graphs, "trace", locked(lock, graphs.trace))
    threads = [threading.Thread(target=lambda: found.append(find_model(path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == find_model(path)
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 1


def locked(lock: threading.Lock, function: object) -> object:
    """PyTorch's exporter is not made for threads."""

    def alone(*arguments: object) -> None:
        with lock:
            function(*arguments)  # type: ignore[operator]

    return alone


@pytest.mark.slow
def test_two_processes_may_export_the_same_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    code = (
        f"import os; os.environ['PROSR_CACHE'] = {str(tmp_path / 'cache')!r}; import numpy, prosr; "
        f"print(prosr.load({str(path)!r}).upscale(numpy.full((5, 5), 99, 'uint8'), 2).sum())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)
    ]
    printed = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(printed) == 1
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 1


def test_exported_weights_are_those_of_the_file(tmp_path: Path) -> None:
    path, folder = saved(tmp_path), tmp_path / "graphs"
    folder.mkdir()
    export_weights(find_weights(path), folder)
    assert {file.name for file in folder.iterdir()} == {
        "mine.safetensors",
        "mine.x2.onnx",
        "mine.x4.onnx",
    }
    assert (folder / "mine.safetensors").read_bytes() == path.read_bytes()
    assert metadata(folder / "mine.x2.onnx")["weights_sha256"] == find_weights(path).sha256


def test_interpolated_weights_can_be_exported(tmp_path: Path) -> None:
    weights = find_weights("progansr-xs@0.5")
    export_weights(weights, tmp_path)
    stored = load_file(tmp_path / "progansr-xs@0.5.safetensors")
    assert all(np.array_equal(stored[name], value) for name, value in weights.tensors.items())
    assert find_weights(tmp_path / "progansr-xs@0.5.safetensors").sha256 == weights.sha256


@pytest.mark.parametrize("training", [True, False])
def test_tracing_leaves_a_network_as_it_is(tmp_path: Path, training: bool) -> None:
    net = build(SMALL).train(training)
    before = copy.deepcopy(net.state_dict())
    trace(net, 2, tmp_path / "a.onnx")
    assert all(module.training == training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Odd(Network):
    """A network whose graph keeps the branch of the example that was traced."""

    def __init__(self) -> None:
        super().__init__(BicubicConfig())

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        y = x if x.shape[2] == 18 else x + 1
        return y.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def test_a_graph_that_computes_something_else_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(InferenceError, match="the exported graph differs by 1 at 14×9"):
        write_graphs(Odd(), "odd", "", tmp_path, None)


def test_a_network_that_cannot_be_traced_is_an_error_of_one_line(tmp_path: Path) -> None:
    class Failing(Odd):
        def enlarge(self, x: Tensor, scale: int) -> Tensor:
            raise ValueError("not today")

    with pytest.raises(InferenceError, match=r"Failing cannot be exported \(not today\)"):
        write_graphs(Failing(), "failing", "", tmp_path, None)


def test_a_graph_of_other_parameters_is_noticed(tmp_path: Path) -> None:
    net = ProSR(SMALL).eval()
    trace(net, 2, tmp_path / "a.onnx")
    check(tmp_path / "a.onnx", net, 2, 1e-4)
    next(net.r["2"].parameters()).data += 1
    with pytest.raises(InferenceError, match="the exported graph differs"):
        check(tmp_path / "a.onnx", net, 2, 1e-4)


@pytest.mark.parametrize(
    "stated",
    [
        {},
        *(
            {
                "receptive_radius": text,
                "bytes_per_pixel": "1",
                "smallest_side": "1",
                "precision": "any",
            }
            for text in ("x", "-1", "9" * 400, "9" * 5000)
        ),
    ],
    ids=range(5),
)
def test_a_graph_of_another_program_is_refused(stated: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="is not a graph of this version of prosr"):
        parse_metadata(stated, Path("a.onnx"))


def test_an_exporter_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "prosr.checkpoints.graphs")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ConfigError, match=r"needs torch and onnx; run: pip install 'prosr\[train\]'"
    ):
        load(saved(tmp_path))


def test_the_layout_in_the_file_decides_the_scales(tmp_path: Path) -> None:
    assert find_model(saved(tmp_path)).scales == net_config(SMALL.model_dump()).scales == (2, 4)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_the_remedy_for_a_damaged_graph_works(tmp_path: Path, engine: str) -> None:
    path = saved(tmp_path)
    graph = find_model(path).graphs[2]
    graph.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=rf"x2\.onnx: .* cache, delete {graph.parent}, else"):
        load(path, engine=engine).upscale(np.zeros((9, 9), np.uint8), 2)
    shutil.rmtree(graph.parent)
    assert load(path, engine=engine).scales == (2, 4)


def test_bundled_graphs_read_parameters_where_they_are() -> None:
    """A longer card moves the parameters of a weights file, so its graphs must be written again."""
    bundled, read = Path(str(files("prosr"))) / "weights", 0
    for path in bundled.glob("pro*.onnx"):
        name = path.name.partition(".")[0]
        places = dict(tensor_places(bundled / f"{name}.safetensors").values())
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            if entries:
                begin = int(entries["offset"])
                assert places[begin] == begin + int(entries["length"])
                read += 1
    assert read


@pytest.mark.slow
def test_the_bundled_graphs_can_be_written_again(tmp_path: Path) -> None:
    bundled = Path(str(files("prosr"))) / "weights"
    for path in bundled.glob("*.safetensors"):
        shutil.copy(path, tmp_path)
    script = Path(__file__).parents[1] / "docs" / "make_graphs.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    for path in bundled.glob("*.onnx"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()

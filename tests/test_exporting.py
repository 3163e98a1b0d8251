"""An exported file computes what the network does, and its metadata state what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from prosr.checkpoints import graphs
from prosr.checkpoints.export import Format, export
from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import Weights
from prosr.errors import InferenceError
from prosr.inference.engines.openvino import core
from prosr.layouts import ProSRConfig
from prosr.nets.build import build
from prosr.nets.cost import trace

SMALL = ProSRConfig(features=6, growth=(4, 4), dcus=((2,), (1,)), value_range=1.0)


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(0)
    return Weights("small", build(SMALL).eval(), {}, "0123abcd")


def picture(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 3e-3)])
@pytest.mark.parametrize("size", [(2, 2), (7, 12), (31, 20)])
@pytest.mark.parametrize("file_format", ["onnx", "openvino"])
def test_the_file_computes_what_the_network_does(
    weights: Weights,
    tmp_path: Path,
    file_format: Format,
    size: tuple[int, int],
    precision: Literal["fp32", "fp16"],
    tolerance: float,
) -> None:
    path = tmp_path / ("a.onnx" if file_format == "onnx" else "a.xml")
    export(weights, 4, file_format, precision, path)
    x = picture(*size)
    if file_format == "onnx":
        y = onnxruntime.InferenceSession(str(path)).run(None, {"x": x.numpy()})[0]
    else:
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        y = core().compile_model(path, "CPU", options)(x.numpy())[0]
    with torch.inference_mode():
        expected: Any = weights.net(x, 4)
    assert y.dtype == np.float32
    assert np.abs(y - expected.numpy()).max() < tolerance


def test_the_onnx_file_states_what_it_is(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    stated = export(weights, 2, "onnx", "fp32", path)
    onnx.checker.check_model(path)
    session = onnxruntime.InferenceSession(str(path))
    assert session.get_modelmeta().custom_metadata_map == stated
    assert stated["receptive_radius"] == str(trace(weights.net, 2).radius)
    assert (stated["scale"], stated["model"], stated["weights_sha256"]) == (
        "2",
        "small",
        "0123abcd",
    )


def test_the_openvino_file_states_what_it_is(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    stated = export(weights, 2, "openvino", "fp32", path)
    model = core().read_model(path)
    assert {key: model.get_rt_info(["prosr", key]).astype(str) for key in stated} == stated


def test_half_precision_halves_the_file(weights: Weights, tmp_path: Path) -> None:
    sizes = []
    for precision in ("fp32", "fp16"):
        export(weights, 2, "openvino", precision, tmp_path / f"{precision}.xml")
        sizes.append((tmp_path / f"{precision}.bin").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def test_a_file_that_computes_something_else_is_not_written(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(graphs.TOLERANCE, "fp32", -1.0)
    with pytest.raises(InferenceError, match="the exported graph differs"):
        export(weights, 2, "onnx", "fp32", tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_no_product_has_a_vector_which_opencv_cannot_multiply(tmp_path: Path) -> None:
    export(find("prosr-xs-real"), 2, "onnx", "fp32", tmp_path / "a.onnx")
    graph = onnx.load(tmp_path / "a.onnx").graph
    vectors = {one.name for one in graph.initializer if len(one.dims) < 2}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert products
    assert not [node.name for node in products if vectors & set(node.input)]

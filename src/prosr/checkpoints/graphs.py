"""Exports networks to ONNX graphs with dynamic height and width and parameters in a weights file.

Needs the extra `train`: PyTorch traces, onnx edits, and OpenVINO checks the written file.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn

from prosr.cache import cached_folder
from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import from_file, save_weights
from prosr.errors import InferenceError
from prosr.inference.engines.openvino import compile_model, core
from prosr.inference.engines.torch import smallest_side
from prosr.models import Model, WeightsFile, cache_key, tensor_places
from prosr.nets.cost import trace as trace_cost
from prosr.nets.generator import ProSR
from prosr.nets.network import Network
from prosr.version import __version__

_EXAMPLE = (18, 20)
"""Height and width of the traced input. Any would do, since both are dynamic."""

_SIZES = ((9, 14), (33, 2))
"""Heights and widths at which a written graph is compared with its network."""

TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2}
"""Largest error of a written graph in each precision, for results of magnitude 1."""


def write_graphs(net: Network, name: str, sha256: str, folder: Path, weights: Path | None) -> Model:
    """Write `folder`/NAME.x2.onnx and so on, a graph for each of the network's scales; return them.

    Parameters refer to the safetensors file `weights`, which must be in the same folder; if it is
    None, the graph stores them. Each graph is run and compared with the network. Raises
    `InferenceError` if the network cannot be traced or its graph computes something else.
    """
    places = tensor_places(weights) if weights else {}
    for scale in net.scales:
        path = folder / f"{name}.x{scale}.onnx"
        trace(net, scale, path)
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            if place := places.get(tensor.name.removeprefix("net.")):
                assert weights is not None
                begin, end = place
                set_external_data(tensor, weights.name, begin, end - begin)
                tensor.ClearField("raw_data")
        onnx.helper.set_model_props(model, describe(net, scale, name, sha256))
        path.write_bytes(model.SerializeToString())
        check(path, net, scale, TOLERANCE["fp32"])
    return _graphs_of(net, name, sha256, folder)


def export_weights(weights: WeightsFile, folder: Path) -> None:
    """Write graphs for a weights file, and a file of its parameters in float32 beside them.

    Raises `CheckpointError` if layout and parameters do not match, and `OSError` if the folder is
    not writable.
    """
    loaded = from_file(weights)
    beside = None
    if weights.path is not None:
        beside = folder / f"{weights.name}.safetensors"
        save_weights(beside, loaded.net, loaded.card)
    write_graphs(loaded.net, weights.name, weights.sha256, folder, beside)


def open_foreign(path: Path) -> Model:
    """The graphs of another program's file, exported once into the user's cache.

    Raises `CheckpointError` for a file that cannot be used, and `InferenceError` for a
    network that the exporter cannot follow.
    """
    found = find(path)
    name, sha256 = path.stem, found.sha256
    key = cache_key(name, sha256, found.net.layout.model_dump())
    folder = cached_folder(key, lambda new: write_graphs(found.net, name, sha256, new, None))
    return _graphs_of(found.net, name, sha256, folder)


def _graphs_of(net: Network, name: str, sha256: str, folder: Path) -> Model:
    """The graphs that `write_graphs` has written for a network."""
    size = sum(value.numel() * value.element_size() for value in net.state_dict().values())
    graphs: dict[int, Path] = {s: folder / f"{name}.x{s}.onnx" for s in net.scales}
    return Model(name, sha256, size, graphs)


def describe(net: Network, scale: int, name: str, sha256: str) -> dict[str, str]:
    """A graph's metadata: everything needed to run it in tiles, and its origin.

    `bytes_per_pixel` is the peak of all activations in float32, per pixel of the input. `precision`
    is "any" if the graph adds a residual to φ_s(x) (Eq. 2), which stays in float32. Other networks
    would lose a tenth of a decibel in bfloat16.
    """
    cost = trace_cost(net, scale)
    return {
        "model": name,
        "scale": str(scale),
        "input": "float32 NCHW RGB, 0 to 1",
        "receptive_radius": str(cost.radius),
        "bytes_per_pixel": str(cost.bytes),
        "smallest_side": str(smallest_side(net)),
        "precision": "any" if isinstance(net, ProSR) else "float32",
        "weights_sha256": sha256,
        "made_by": f"prosr {__version__}",
    }


def trace(net: nn.Module, scale: int, path: Path) -> None:
    """Write `net(x, scale)` as an ONNX graph with input "x" and output "y".

    Batch, height and width are dynamic. Raises `InferenceError` if the network cannot be traced.
    """
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of constants that it keeps, as intended here, and of its successor,
        # which takes ten times as long for the same graph.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                _Traced(net, scale),
                (torch.full((1, 3, *_EXAMPLE), 0.5),),
                str(path),
                input_names=["x"],
                output_names=["y"],
                dynamic_axes={"x": axes, "y": axes},
                opset_version=17,
                # Else parts of parameters would be stored again. Engines fold constants themselves.
                do_constant_folding=False,
                dynamo=False,
            )
        except OSError:
            raise
        # Another project's network may do anything, so the exporter may fail in any way.
        except Exception as error:
            raise InferenceError(f"{type(net).__name__} cannot be exported ({error})") from error


def check(path: Path, net: nn.Module, scale: int, atol: float) -> None:
    """Raise `InferenceError` unless a file's output equals the network's at untraced sizes.

    `atol` is for results of magnitude 1 and scales with larger ones.
    """
    compiled = compile_model(core().read_model(path), "fp32")
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        x = torch.rand(1, 3, *size, generator=generator)
        with torch.inference_mode():
            expected = net(x, scale)
        y = torch.from_numpy(compiled(x.numpy())[0])
        error = (y - expected).abs().max().item() if y.shape == expected.shape else math.inf
        if not error <= atol * max(1, expected.abs().max().item()):
            raise InferenceError(f"the exported graph differs by {error:g} at {size[1]}×{size[0]}")


class _Traced(nn.Module):
    """A network at one scale."""

    def __init__(self, net: nn.Module, scale: int) -> None:
        super().__init__()
        self.net, self.scale = net, scale
        self.train(net.training)

    def forward(self, x: Tensor) -> Any:
        return self.net(x, self.scale)

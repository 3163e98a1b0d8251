"""MatConvNet's networks (DagNN) as MATLAB saved them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prosr.checkpoints import matfiles
from prosr.checkpoints.torchfiles import Refused


@dataclass(frozen=True)
class Layer:
    """A layer of the graph: its name, its parameters' names, its ReLU's leak."""

    name: str
    parameters: tuple[str, ...]
    leak: float | None


@dataclass(frozen=True)
class DagNN:
    """Parameters by name, in PyTorch's order of dimensions, and the layers that use them."""

    parameters: Mapping[str, Tensor]
    layers: tuple[Layer, ...]

    def leak(self) -> float:
        """The leak that all ReLUs have. Raises `Refused` if they differ."""
        leaks = sorted({round(layer.leak, 6) for layer in self.layers if layer.leak is not None})
        if len(leaks) != 1:
            shown = ", ".join(map(str, leaks)) or "none"
            raise Refused(f"its leaky ReLUs should have one leak, and have: {shown}")
        if not 0 <= leaks[0] < 1:
            raise Refused(f"its ReLUs' leak should be from 0 to 1, and is {leaks[0]:g}")
        return leaks[0]


def unpack(data: bytes) -> DagNN:
    """Return the network in a `.mat` file's content. Raises `Refused` for anything else."""
    variables = matfiles.unpack(data)
    try:
        (net,) = variables["net"]
        parameters = {_text(p["name"]): _tensor(p["value"]) for p in net["params"]}
        layers = tuple(_layer(layer) for layer in net["layers"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise Refused("it is a .mat file, but not a network saved by MatConvNet") from error
    return DagNN(parameters, layers)


def _layer(layer: Any) -> Layer:
    block, names = layer["block"], layer["params"]
    leak = block[0].get("leak") if isinstance(block, list) and block else None
    return Layer(
        name=_text(layer["name"]),
        parameters=tuple(_text(name) for name in names) if isinstance(names, list) else (),
        leak=None if leak is None else float(_array(leak).item()),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _array(value: Any) -> np.ndarray[Any, np.dtype[Any]]:
    if not isinstance(value, np.ndarray):
        raise TypeError("not an array of numbers")
    return value


def _tensor(value: Any) -> Tensor:
    """Kernels are height × width × in × out (transposed: out × in), less trailing ones."""
    array = _array(value).astype(np.float32)
    if array.ndim > 4:
        raise ValueError("not a kernel")
    if array.ndim == 2 and 1 in array.shape:
        return torch.from_numpy(array.ravel())
    array = array.reshape(*array.shape, *(1,) * (4 - array.ndim))
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))

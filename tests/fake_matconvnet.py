"""Writes networks as MatConvNet's DagNN saves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

Kernels = Mapping[str, NDArray[np.float32]]
Layers = Sequence[tuple[str, Sequence[str], float | None]]
"""Name, parameters' names, and a ReLU's leak."""


def save(path: Path, parameters: Kernels, layers: Layers, compressed: bool = False) -> Path:
    net = {
        "params": structs([{"name": name, "value": value} for name, value in parameters.items()]),
        "layers": structs([layer(*values) for values in layers]),
    }
    scipy.io.savemat(path, {"net": net}, do_compression=compressed)
    return path


def layer(name: str, parameters: Sequence[str], leak: float | None) -> dict[str, Any]:
    names = np.empty((1, len(parameters)), dtype=object)
    names[0, :] = list(parameters)
    block = {"size": 1.0} if leak is None else {"leak": leak}
    kind = "dagnn.Conv" if leak is None else "dagnn.ReLU"
    return {"name": name, "type": kind, "params": names, "block": block}


def structs(rows: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """A 1×n struct array."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        for name, value in row.items():
            array[name][0, i] = value
    return array


def mslapsrn(features: int = 64, depth: int = 5) -> dict[str, NDArray[np.float32]]:
    """Random parameters of MS-LapSRN under its authors' names, trailing ones left out."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "input_conv_f": (3, 3, 1, features),
        "input_conv_b": (1, features),
        "upconv_f": (3, 3, features, features),
        "upconv_b": (1, features),
        "img_up_f": (4, 4),
        "residual_conv_f": (3, 3, features),
        "residual_conv_b": (1, 1),
    }
    for i in range(1, depth + 1):
        shapes |= {f"conv{i}_f": (3, 3, features, features), f"conv{i}_b": (1, features)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def mslapsrn_layers(recursions: int, leak: float = 0.2) -> list[Any]:
    convs = [
        (f"x2SR_level1_R{i}_conv1", ("conv1_f", "conv1_b"), None) for i in range(1, recursions + 1)
    ]
    return [*convs, ("x2SR_level1_uprelu", (), leak)]

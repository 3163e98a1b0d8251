"""LapSRN and MS-LapSRN as their authors released them: MatConvNet's networks in `.mat` files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prosr.checkpoints import matfiles
from prosr.checkpoints.adapter import adapt
from prosr.checkpoints.torchfiles import Refused
from prosr.checkpoints.weights import Weights
from prosr.config import PRESETS
from prosr.layouts import MsLapSRNConfig
from prosr.nets.blocks import LEAK

_LAPSRN = ("lapsrn-x2", "lapsrn-x4", "lapsrn-x8")
_KINDS = {"weight": "f", "bias": "b"}
_PARTS = {
    "entry": "input_conv",
    "upconv": "upconv",
    "residual": "residual_conv",
    "image_up": "img_up",
}


def read_matconvnet(path: Path) -> Weights:
    """Return LapSRN or MS-LapSRN from a `.mat`. Raises `Refused` for anything else."""
    theirs, layers = unpack(path.read_bytes())
    if "conv1_f" in theirs:
        used = [name for name, tensors in layers.items() if "conv1_f" in tensors]
        recursions = sum(name.startswith("x2SR_level1_") for name in used)
        if not recursions:
            raise Refused("its graph has no level for scale 2")
        shared = MsLapSRNConfig(recursions=recursions)
        name = "mslapsrn" if shared == PRESETS["mslapsrn"] else f"mslapsrn-d5r{recursions}"
        origin = "released by the authors of MS-LapSRN"
        return adapt(path, name, shared, theirs, _mslapsrn_name, origin)
    levels = sum(key.endswith("_upconv_f") for key in theirs)
    if not 1 <= levels <= len(_LAPSRN):
        raise Refused("it is neither LapSRN for scale 2, 4 or 8 nor MS-LapSRN")
    name = _LAPSRN[levels - 1]
    rename = partial(_lapsrn_name, levels=levels)
    return adapt(path, name, PRESETS[name], theirs, rename, "released by the authors of LapSRN")


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Return a file's tensors, and for each layer the names of those that it uses.

    Tensors have PyTorch's order of dimensions. Raises `Refused`, also for ReLUs that leak
    more or less than ours.
    """
    variables = matfiles.unpack(data)
    try:
        (net,) = variables["net"]
        tensors = {str(tensor["name"]): _tensor(tensor["value"]) for tensor in net["params"]}
        layers = {str(layer["name"]): list(layer["params"]) for layer in net["layers"]}
        blocks = [layer["block"][0] for layer in net["layers"]]
        leaks = {round(float(block["leak"].item()), 6) for block in blocks if "leak" in block}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Refused("it is a .mat file, but not a network saved by MatConvNet") from error
    if leaks != {LEAK}:
        shown = ", ".join(map(str, sorted(leaks))) or "none"
        raise Refused(f"its ReLUs need the leak {LEAK}, and have: {shown}")
    return tensors, layers


def _tensor(array: Any) -> Tensor:
    """Kernels are height × width × in × out (transposed: out × in), less trailing ones."""
    if array.ndim > 4:
        raise ValueError("not a kernel")
    array = array.astype(np.float32)
    if array.ndim == 2 and 1 in array.shape:
        return torch.from_numpy(array.ravel())
    array = array.reshape(*array.shape, *(1,) * (4 - array.ndim))
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))


def _mslapsrn_name(name: str) -> str:
    *path, kind = name.removeprefix("net.").split(".")
    part = f"conv{int(path[1]) + 1}" if path[0] == "convs" else _PARTS[path[0]]
    return f"{part}_{_KINDS[kind]}"


def _lapsrn_name(name: str, levels: int) -> str:
    """Their levels count down to the largest picture, ours count up."""
    if not name.startswith("net.levels."):
        return _mslapsrn_name(name)
    i, inner = name.removeprefix("net.levels.").split(".", 1)
    return f"level{levels - int(i)}_{_mslapsrn_name(inner)}"

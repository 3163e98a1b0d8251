"""Weights that other papers' authors, and others for them, released: LapSRN, MS-LapSRN, VDSR."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from prosr.checkpoints import archives, matconvnet, matfiles
from prosr.checkpoints.released import SUFFIXES, Released, difference, read
from prosr.checkpoints.tensors import Refused
from prosr.config import PRESETS
from prosr.errors import CheckpointError
from prosr.layouts import LapSRNConfig, MsLapSRNConfig, NetConfig, VDSRConfig
from prosr.nets.build import build

ALL_SUFFIXES = (*SUFFIXES, ".mat", ".safetensors")
"""Of the files that can be converted."""

LAPSRN = ("lapsrn-x2", "lapsrn-x4", "lapsrn-x8")
AUTHORS = "released by the authors of {}"


def read_any(path: Path) -> Released:
    """Return the network in a released file, recognised by its content.

    Raises `CheckpointError`, naming the file, for one that is damaged or of no known net.
    """
    data = archives.read_bytes(path)
    try:
        if data.startswith(matfiles.MAGIC):
            return _read_matconvnet(data)
        if data[8:9] == b"{":
            return _read_vdsr(data)
    except Refused as refusal:
        raise CheckpointError(f"{path}: cannot be converted; {refusal}") from refusal
    return read(path)


def _read_matconvnet(data: bytes) -> Released:
    dag = matconvnet.unpack(data)
    leak = dag.leak()
    if "conv1_f" in dag.parameters:
        recursions = sum(
            layer.name.startswith("x2SR_level1_") and "conv1_f" in layer.parameters
            for layer in dag.layers
        )
        if not recursions:
            raise Refused("its graph has no level for 2 times")
        config = MsLapSRNConfig(recursions=recursions, leak=leak)
        name = "mslapsrn" if config == PRESETS["mslapsrn"] else f"mslapsrn-d5r{recursions}"
        net = _fill(config, dag.parameters, _mslapsrn_name, name)
        return _released(name, config, net, data, AUTHORS.format("MS-LapSRN"))
    levels = sum(key.endswith("_upconv_f") for key in dag.parameters)
    if not 1 <= levels <= len(LAPSRN):
        raise Refused("it is neither LapSRN for 2, 4 or 8 times nor MS-LapSRN")
    name = LAPSRN[levels - 1]
    preset = PRESETS[name]
    assert isinstance(preset, LapSRNConfig)
    config_lap = preset.model_copy(update={"leak": leak})
    net = _fill(config_lap, dag.parameters, lambda ours: _lapsrn_name(ours, levels), name)
    return _released(name, config_lap, net, data, AUTHORS.format("LapSRN"))


def _read_vdsr(data: bytes) -> Released:
    try:
        tensors = load_safetensors(data)
    except SafetensorError as error:
        raise Refused(f"it is not a readable safetensors file ({error})") from error
    if "input.weight" not in tensors:
        raise Refused("it is not VDSR; if it is a weights file already, give it as --model")
    config = VDSRConfig()
    net = _fill(config, tensors, lambda ours: _vdsr_name(ours, config.layers), "vdsr")
    return _released("vdsr", config, net, data, "trained by a third party as VDSR's paper says")


def _fill(
    config: NetConfig, theirs: Mapping[str, Tensor], rename: Callable[[str], str], name: str
) -> nn.Module:
    """Return the net of a layout with `theirs`, whose names `rename` gives for ours."""
    net = build(config)
    names = {ours: rename(ours.removeprefix("net.")) for ours in net.state_dict()}
    expected = {names[ours]: tuple(value.shape) for ours, value in net.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in theirs.items()}
    count, problem = difference(found, expected)
    if count:
        raise Refused(f"it looks like {name}, but {problem}")
    for key, value in theirs.items():
        if value.dtype != torch.float32 or not bool(value.isfinite().all()):
            raise Refused(f"{key} holds values that are not finite float32 numbers")
    net.load_state_dict({ours: theirs[their] for ours, their in names.items()})
    return net.eval()


def _mslapsrn_name(name: str) -> str:
    match name.split("."):
        case ["convs", j, kind]:
            return f"conv{int(j) + 1}_{_KINDS[kind]}"
        case [part, kind]:
            return f"{_PARTS[part]}_{_KINDS[kind]}"
    raise ValueError(f"{name} is not the name of an MS-LapSRN tensor")


def _lapsrn_name(name: str, levels: int) -> str:
    """Their levels count down to the largest picture, ours count up."""
    match name.split("."):
        case ["entry", kind]:
            return f"input_conv_{_KINDS[kind]}"
        case ["levels", i, *rest]:
            return f"level{levels - int(i)}_{_mslapsrn_name('.'.join(rest))}"
    raise ValueError(f"{name} is not the name of a LapSRN tensor")


def _vdsr_name(name: str, layers: int) -> str:
    _, i, kind = name.split(".")
    if int(i) == 0:
        return f"input.{kind}"
    if int(i) == layers - 1:
        return f"output.{kind}"
    return f"residual_layer.{int(i) - 1}.conv.{kind}"


_KINDS = {"weight": "f", "bias": "b"}
_PARTS = {
    "entry": "input_conv",
    "upconv": "upconv",
    "residual": "residual_conv",
    "image_up": "img_up",
}


def _released(name: str, config: NetConfig, net: nn.Module, data: bytes, origin: str) -> Released:
    licence = "of those who released the file; not this package's"
    return Released(name, config, net, hashlib.sha256(data).hexdigest(), origin, licence)

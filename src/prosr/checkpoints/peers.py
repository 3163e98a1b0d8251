"""Released weights of other papers: LapSRN and MS-LapSRN from MATLAB, VDSR from PyTorch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from prosr.checkpoints import matconvnet
from prosr.checkpoints.adapter import Foreign, adapt
from prosr.checkpoints.torchfiles import Refused
from prosr.config import presets
from prosr.nets.baselines.lapsrn import LapSRNConfig
from prosr.nets.baselines.mslapsrn import MsLapSRNConfig
from prosr.nets.baselines.vdsr import VDSRConfig

_LAPSRN = ("lapsrn-x2", "lapsrn-x4", "lapsrn-x8")
_KINDS = {"weight": "f", "bias": "b"}
_PARTS = {
    "entry": "input_conv",
    "upconv": "upconv",
    "residual": "residual_conv",
    "image_up": "img_up",
}


def read_matconvnet(path: Path) -> Foreign:
    """Return LapSRN or MS-LapSRN from a `.mat` of MatConvNet. Raises `Refused`."""
    dag = matconvnet.unpack(path.read_bytes())
    leak, theirs = dag.leak(), dag.parameters
    if "conv1_f" in theirs:
        recursions = sum(
            layer.name.startswith("x2SR_level1_") and "conv1_f" in layer.parameters
            for layer in dag.layers
        )
        if not recursions:
            raise Refused("its graph has no level for scale 2")
        layout = MsLapSRNConfig(recursions=recursions, leak=leak)
        name = "mslapsrn" if layout == presets()["mslapsrn"] else f"mslapsrn-d5r{recursions}"
        origin = "released by the authors of MS-LapSRN"
        return adapt(path, name, layout, theirs, _mslapsrn_name, origin)
    levels = sum(key.endswith("_upconv_f") for key in theirs)
    if not 1 <= levels <= len(_LAPSRN):
        raise Refused("it is neither LapSRN for scale 2, 4 or 8 nor MS-LapSRN")
    name = _LAPSRN[levels - 1]
    preset = presets()[name]
    assert isinstance(preset, LapSRNConfig)
    rename = partial(_lapsrn_name, levels=levels)
    origin = "released by the authors of LapSRN"
    return adapt(path, name, preset.model_copy(update={"leak": leak}), theirs, rename, origin)


def read_vdsr(path: Path) -> Foreign:
    """Return VDSR from the `.safetensors` of its PyTorch port. Raises `Refused`."""
    try:
        theirs = load_file(path)
    except SafetensorError as error:
        raise Refused(f"it is not a readable safetensors file ({error})") from error
    if "input.weight" not in theirs:
        raise Refused("it is not VDSR; if it is a weights file already, give it as --model")
    layout = VDSRConfig()
    rename = partial(_vdsr_name, layers=layout.layers)
    return adapt(
        path, "vdsr", layout, theirs, rename, "trained by a third party as VDSR's paper says"
    )


def _mslapsrn_name(name: str) -> str:
    match name.removeprefix("net.").split("."):
        case ["convs", j, kind]:
            return f"conv{int(j) + 1}_{_KINDS[kind]}"
        case [part, kind]:
            return f"{_PARTS[part]}_{_KINDS[kind]}"
    raise ValueError(f"{name} is not the name of an MS-LapSRN tensor")


def _lapsrn_name(name: str, levels: int) -> str:
    """Their levels count down to the largest picture, ours count up."""
    match name.removeprefix("net.").split("."):
        case ["entry", kind]:
            return f"input_conv_{_KINDS[kind]}"
        case ["levels", i, *rest]:
            return f"level{levels - int(i)}_{_mslapsrn_name('.'.join(rest))}"
    raise ValueError(f"{name} is not the name of a LapSRN tensor")


def _vdsr_name(name: str, layers: int) -> str:
    *_, i, kind = name.split(".")
    if int(i) == 0:
        return f"input.{kind}"
    if int(i) == layers - 1:
        return f"output.{kind}"
    return f"residual_layer.{int(i) - 1}.conv.{kind}"

"""VDSR's weights of its PyTorch port, which a third party trained."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from prosr.checkpoints.adapter import Foreign, adapt
from prosr.checkpoints.torchfiles import Refused
from prosr.nets.baselines.vdsr import VDSRConfig


def read_vdsr(path: Path) -> Foreign:
    """Return VDSR from the `.safetensors` of its PyTorch port. Raises `Refused`."""
    try:
        theirs = load_file(path)
    except SafetensorError as error:
        raise Refused(f"it is not a readable safetensors file ({error})") from error
    if "input.weight" not in theirs:
        raise Refused("it is not VDSR; if it is a weights file already, give it as --model")
    layout = VDSRConfig()
    rename = partial(_name, layers=layout.layers)
    origin = "trained by a third party as VDSR's paper says"
    return adapt(path, "vdsr", layout, theirs, rename, origin)


def _name(name: str, layers: int) -> str:
    *_, i, kind = name.split(".")
    if int(i) == 0:
        return f"input.{kind}"
    if int(i) == layers - 1:
        return f"output.{kind}"
    return f"residual_layer.{int(i) - 1}.conv.{kind}"

"""The one entry for foreign weights: a released file becomes a network of ours."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from prosr.checkpoints import matfiles
from prosr.checkpoints.adapter import adapt
from prosr.checkpoints.matconvnet import read_matconvnet
from prosr.checkpoints.released import read_prosr
from prosr.checkpoints.torchfiles import Refused, head
from prosr.checkpoints.weights import Weights
from prosr.errors import CheckpointError
from prosr.layouts import VDSRConfig

SUFFIXES = (".pth", ".pt", ".mat", ".safetensors")
"""Of the files that can be converted."""


def read_foreign(path: Path) -> Weights:
    """Return the network in a released file, recognised by its content.

    Reads ProSR's .pth, LapSRN's and MS-LapSRN's .mat and VDSR's .safetensors, and executes
    nothing in them. Raises `CheckpointError` in one line with the file's name and a reason.
    """
    start = head(path)
    try:
        if start == matfiles.MAGIC:
            return read_matconvnet(path)
        return _read_vdsr(path) if start[8:9] == b"{" else read_prosr(path)
    except Refused as refusal:
        raise CheckpointError(f"{path}: cannot be converted; {refusal}") from refusal


def _read_vdsr(path: Path) -> Weights:
    """Return VDSR from the `.safetensors` of its PyTorch port, which a third party trained."""
    try:
        theirs = load_file(path)
    except SafetensorError as error:
        raise Refused(f"it is not a readable safetensors file ({error})") from error
    if "input.weight" not in theirs:
        raise Refused("it is not VDSR; if it is a weights file already, give it as --model")
    layout = VDSRConfig()
    rename = partial(_vdsr_name, layers=layout.layers)
    origin = "trained by a third party as VDSR's paper says"
    return adapt(path, "vdsr", layout, theirs, rename, origin)


def _vdsr_name(name: str, layers: int) -> str:
    *_, i, kind = name.split(".")
    if int(i) == 0:
        return f"input.{kind}"
    if int(i) == layers - 1:
        return f"output.{kind}"
    return f"residual_layer.{int(i) - 1}.conv.{kind}"

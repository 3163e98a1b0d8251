"""Converts released weights files of ProSR and other systems to networks of `prosr.nets`."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from prosr.checkpoints.matconvnet import MAGIC, read_matconvnet
from prosr.checkpoints.released import read_prosr
from prosr.checkpoints.torchfiles import Refused, head
from prosr.checkpoints.weights import (
    Found,
    Weights,
    difference,
    expected,
    shapes,
    weights_hash,
)
from prosr.errors import CheckpointError
from prosr.layouts import VDSRConfig
from prosr.nets.build import build

SUFFIXES = (".pth", ".pt", ".mat", ".safetensors")
"""Suffixes of the files that can be converted."""


def read_foreign(path: Path) -> Weights:
    """Return the network in a released file, recognised by its content.

    Reads ProSR's .pth, LapSRN's and MS-LapSRN's .mat and VDSR's .safetensors, and executes
    nothing in them. Raises `CheckpointError` in one line with the file's name and a reason.
    """
    start = head(path)
    try:
        if start == MAGIC:
            return adapt(path, read_matconvnet(path))
        return adapt(path, _read_vdsr(path) if start[8:9] == b"{" else read_prosr(path))
    except Refused as refusal:
        raise CheckpointError(f"{path}: cannot be converted; {refusal}") from refusal


def adapt(path: Path, found: Found) -> Weights:
    """Return the network that was found in `path`.

    It has the name of the preset with this layout, or a similar one. Raises `Refused` if a tensor
    is missing, unexpected, of another shape or not finite.
    """
    name, layout, theirs, rename, origin = found
    _, problem = difference(shapes(theirs), expected(layout, rename))
    if problem:
        raise Refused(f"it looks like {name}, but {problem}")
    for key, value in theirs.items():
        if not (value.is_floating_point() and bool(value.isfinite().all())):
            raise Refused(f"{key} holds values that are not finite numbers; get another copy")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    card = {
        "model": name,
        "origin": f"converted from {path.name}, {origin}",
        "source sha256": digest,
        "licence": "of those who released the file; not this package's",
    }
    net = build(layout).eval()
    net.load_state_dict({own: theirs[rename(own)] for own in net.state_dict()})
    return Weights(name, net, card, weights_hash(net.state_dict()))


def _read_vdsr(path: Path) -> Found:
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
    return "vdsr", layout, theirs, rename, origin


def _vdsr_name(name: str, layers: int) -> str:
    *_, i, kind = name.split(".")
    if int(i) == 0:
        return f"input.{kind}"
    if int(i) == layers - 1:
        return f"output.{kind}"
    return f"residual_layer.{int(i) - 1}.conv.{kind}"

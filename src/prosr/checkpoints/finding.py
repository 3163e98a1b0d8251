"""Finds networks: by a model's name, in a weights file, or in a file of another program."""

from __future__ import annotations

import hashlib
from pathlib import Path

from prosr.checkpoints import torchfiles
from prosr.checkpoints.community import read_community
from prosr.checkpoints.matconvnet import MAGIC, read_matconvnet
from prosr.checkpoints.released import parts, read_prosr
from prosr.checkpoints.torchfiles import Refused, Unknown
from prosr.checkpoints.weights import (
    Found,
    Weights,
    difference,
    expected,
    from_file,
    shapes,
    weights_hash,
)
from prosr.config import PRESETS
from prosr.errors import CheckpointError
from prosr.layouts import VDSRConfig
from prosr.models import bundled_models, find_weights, is_foreign
from prosr.nets.build import build

_VDSR = VDSRConfig()


def find(name: str | Path, strength: float = 1.0) -> Weights:
    """Load a model as a network: a bundled one by its name, or any file by its path.

    See `prosr.models.find_weights` and `read_foreign`.
    """
    if is_foreign(name) and strength == 1:
        return read_foreign(Path(name))
    return from_file(find_weights(name, strength))


def find_or_build(name: str) -> Weights:
    """`find`, or for a preset without weights a network with random parameters."""
    config = PRESETS.get(name)
    if config is None or name in bundled_models():
        return find(name)
    return Weights(name, build(config).eval(), {}, "")


def read_foreign(path: Path) -> Weights:
    """Return the network in a file of another program, recognised by its content.

    Reads ProSR's .pth, LapSRN's and MS-LapSRN's .mat, VDSR's .safetensors and what spandrel
    recognises, and executes nothing in them. Raises `CheckpointError` in one line with the file's
    name and a reason.
    """
    try:
        if torchfiles.head(path) == MAGIC:
            return adapt(path, read_matconvnet(path))
        content = torchfiles.load(path)
        try:
            tensors, options = parts(content)
            by = "trained by a third party as VDSR's paper says"
            vdsr: Found = ("vdsr", _VDSR, tensors, _vdsr_name, by)
            found = vdsr if "input.weight" in tensors else read_prosr(tensors, options)
        except Unknown as unknown:
            net = read_community(content, str(unknown))
            return Weights(path.stem, net, {}, weights_hash(net.state_dict()))
        return adapt(path, found)
    except Refused as refusal:
        raise CheckpointError(f"{path}: cannot be used; {refusal}") from refusal


def adapt(path: Path, found: Found) -> Weights:
    """Return the network that was found in `path`.

    It has the name of the preset with this layout, or a similar one. Raises `Refused` if a tensor
    is missing, unexpected, of another shape or not finite.
    """
    name, layout, theirs, rename, origin = found
    _, problem = difference(shapes(theirs), expected(layout, rename))
    if problem:
        raise Refused(f"it looks like {name}, but {problem}")
    torchfiles.check_values(theirs)
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


def _vdsr_name(name: str) -> str:
    """The name in VDSR's PyTorch port."""
    *_, i, kind = name.split(".")
    if int(i) == 0:
        return f"input.{kind}"
    if int(i) == _VDSR.layers - 1:
        return f"output.{kind}"
    return f"residual_layer.{int(i) - 1}.conv.{kind}"

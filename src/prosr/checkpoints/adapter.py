"""A foreign file's tensors, put into a network of ours with a model card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from prosr.checkpoints.torchfiles import Refused
from prosr.checkpoints.weights import Shape, Weights, difference, shapes, weights_hash
from prosr.layouts import NetConfig
from prosr.nets.build import build

Rename = Callable[[str], str]
"""From the name of a tensor in our network to its name in the foreign file."""


def adapt(
    path: Path,
    name: str,
    layout: NetConfig,
    theirs: Mapping[str, Tensor],
    rename: Rename,
    origin: str,
) -> Weights:
    """Return the network in `path` whose tensors are `theirs` and whose layout is known.

    `name` is that of the preset with this layout, or a name like it. Raises `Refused` where a
    tensor is missing, unexpected, of another shape or not finite.
    """
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
    return Weights(name, net, layout, card, weights_hash(net.state_dict()))


def expected(layout: NetConfig, rename: Rename) -> dict[str, Shape]:
    """Return the foreign name and the shape of every tensor of a layout."""
    with torch.device("meta"):
        state = build(layout).state_dict()
    return {rename(name): shape for name, shape in shapes(state).items()}

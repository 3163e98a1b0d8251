"""What a foreign file gives: a layout of ours, its tensors under our names, and a model card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from prosr.checkpoints.torchfiles import Refused
from prosr.checkpoints.weights import build
from prosr.config import NetConfig
from prosr.errors import printable

Shape = tuple[int, ...]
Rename = Callable[[str], str]
"""From the name of a tensor in our network to its name in the foreign file."""


@dataclass(frozen=True)
class Foreign:
    """A network that others released.

    `name` is that of the preset with its layout, or a name like it. `tensors` are float32
    under the names of our state dict. `card` is the model card: model, origin, the file's
    SHA-256, licence.
    """

    name: str
    layout: NetConfig
    tensors: Mapping[str, Tensor]
    card: Mapping[str, str]

    def network(self) -> nn.Module:
        """Return the network in evaluation mode."""
        net = build(self.layout)
        net.load_state_dict(dict(self.tensors))
        return net.eval()


def adapt(
    path: Path,
    name: str,
    layout: NetConfig,
    theirs: Mapping[str, Tensor],
    rename: Rename,
    origin: str,
) -> Foreign:
    """Return the network in `path` whose tensors are `theirs` and whose layout is known.

    Raises `Refused` where a tensor is missing, unexpected, of another shape or not finite.
    """
    tensors = translate(layout, theirs, rename, name)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    card = {
        "model": name,
        "origin": f"converted from {path.name}, {origin}",
        "source sha256": digest,
        "licence": "of those who released the file; not this package's",
    }
    return Foreign(name, layout, tensors, card)


def translate(
    layout: NetConfig, theirs: Mapping[str, Tensor], rename: Rename, name: str
) -> dict[str, Tensor]:
    """Return `theirs` as float32 under our names. Raises `Refused` as `adapt` does."""
    found = {key: tuple(value.shape) for key, value in theirs.items()}
    wanted = expected(layout, rename)
    if differing(found, wanted):
        raise Refused(f"it looks like {name}, but {describe(found, wanted)}")
    for key, value in theirs.items():
        if not (value.is_floating_point() and bool(value.isfinite().all())):
            raise Refused(f"{key} holds values that are not finite numbers; get another copy")
    return {ours: theirs[rename(ours)].float() for ours in expected(layout, str)}


def expected(layout: NetConfig, rename: Rename) -> dict[str, Shape]:
    """Return the foreign name and the shape of every tensor of a layout."""
    with torch.device("meta"):
        state = build(layout).state_dict()
    return {rename(name): tuple(value.shape) for name, value in state.items()}


def differing(found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> list[str]:
    """Return the names with another shape in `found` than in `wanted`, or in one of them only."""
    return [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]


def describe(found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> str:
    """Return a clause that describes the first of the differing tensors and counts the others."""
    first, *others = differing(found, wanted)
    more = f", and {len(others)} more of {len(wanted)} tensors differ" if others else ""
    shapes = f"{_by(found.get(first))} instead of {_by(wanted.get(first))}"
    return f"{printable(first[:100])} has shape {shapes}{more}"


def _by(shape: Shape | None) -> str:
    return "none" if shape is None else "×".join(map(str, shape[:9])) or "a scalar"

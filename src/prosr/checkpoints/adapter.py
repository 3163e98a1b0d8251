"""What a foreign file gives: a layout of ours, its tensors under our names, and a model card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from prosr.checkpoints.torchfiles import Refused
from prosr.errors import printable
from prosr.layouts import NetConfig
from prosr.nets.build import build
from prosr.nets.network import Network

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

    def network(self) -> Network:
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
    found = {key: tuple(value.shape) for key, value in theirs.items()}
    _, problem = difference(found, expected(layout, rename))
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
    ours = {own: theirs[rename(own)].float() for own in expected(layout, str)}
    return Foreign(name, layout, ours, card)


def expected(layout: NetConfig, rename: Rename) -> dict[str, Shape]:
    """Return the foreign name and the shape of every tensor of a layout."""
    with torch.device("meta"):
        state = build(layout).state_dict()
    return {rename(name): tuple(value.shape) for name, value in state.items()}


def difference(found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> tuple[int, str]:
    """Return how many tensors differ, and a clause that describes the first, empty for none."""
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if not names:
        return 0, ""
    first, *others = names
    more = f", and {len(others)} more of {len(wanted)} tensors differ" if others else ""
    shapes = f"{_by(found.get(first))} instead of {_by(wanted.get(first))}"
    return len(names), f"{printable(first[:100])} has shape {shapes}{more}"


def _by(shape: Shape | None) -> str:
    return "none" if shape is None else "×".join(map(str, shape[:9])) or "a scalar"

"""Weights and training state on disk: safetensors, strict, atomic, nothing executed.

A weights file carries its network's layout and its model card in the header, so that the
file alone is enough to rebuild the network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from prosr import models
from prosr.config import net_config
from prosr.errors import CheckpointError, ConfigError, printable
from prosr.files import write_bytes
from prosr.layouts import NetConfig
from prosr.models import WEIGHTS_FORMAT, WeightsFile, read_safetensors
from prosr.nets.build import build
from prosr.nets.network import Network

STATE_FORMAT = "prosr-training-state-1"

Shape = tuple[int, ...]
Rename = Callable[[str], str]
"""Maps the name of a tensor in our network to its name in a foreign file."""
Found = tuple[str, NetConfig, Mapping[str, Tensor], Rename, str]
"""A foreign network: name and layout, its tensors, their names, and who released it."""


@dataclass(frozen=True)
class Weights:
    """A network in evaluation mode with the information in its file.

    `sha256` covers the parameters (names, shapes and values), not the card. It is empty for a
    network without parameters.
    """

    name: str
    net: Network
    card: dict[str, Any]
    sha256: str


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the parameters in the order of their names; empty if there are none."""
    return models.weights_hash(
        {name: value.detach().cpu().numpy() for name, value in state.items()}
    )


def save_weights(path: Path, net: Network, card: Mapping[str, Any], over: bool = True) -> str:
    """Write parameters, layout and card as `replacing` does; return the parameters' hash."""
    header = {
        "format": WEIGHTS_FORMAT,
        "config": net.layout.model_dump_json(),
        "card": json.dumps(dict(card), allow_nan=False),
    }
    write_bytes(path, _serialized(net.state_dict(), header), over)
    return weights_hash(net.state_dict())


def from_file(weights: WeightsFile) -> Weights:
    """Rebuild the network that a weights file describes, in evaluation mode.

    Raises `CheckpointError` if layout and parameters do not match.
    """
    source = str(weights.path or weights.name)
    try:
        config = net_config(weights.layout)
    except ConfigError as error:
        raise CheckpointError(
            f"{source}: its header cannot be used ({error!s:.120}); "
            "it was made by another version of prosr or is damaged; get another copy"
        ) from error
    tensors = {name: torch.from_numpy(value) for name, value in weights.tensors.items()}
    # Build it without allocating memory: the file may have fewer parameters than its layout.
    with torch.device("meta"):
        net = build(config)
    _compare(net, tensors, source)
    net.load_state_dict(tensors, assign=True)
    return Weights(weights.name, net.eval(), weights.card, weights.sha256)


def fit(net: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy `tensors` into `net`, or raise `CheckpointError` with the difference."""
    _compare(net, tensors, source)
    net.load_state_dict(dict(tensors))


def _compare(net: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    own = net.state_dict()
    if problem := difference(shapes(tensors), shapes(own))[1]:
        raise CheckpointError(f"{source}: {problem}; the file and the network's layout differ")
    for name, value in own.items():
        if value.dtype != tensors[name].dtype:
            raise CheckpointError(f"{source}: {name} has type {tensors[name].dtype}; convert it")


def shapes(state: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shape of every tensor by its name."""
    return {name: tuple(value.shape) for name, value in state.items()}


def expected(layout: NetConfig, rename: Rename) -> dict[str, Shape]:
    """The foreign name and the shape of every tensor of a layout."""
    with torch.device("meta"):
        state = build(layout).state_dict()
    return {rename(name): shape for name, shape in shapes(state).items()}


def difference(found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> tuple[int, str]:
    """How many tensors differ, and a clause that describes the first, empty for none."""
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if not names:
        return 0, ""
    first, *others = names
    more = f", and {len(others)} more of {len(wanted)} tensors differ" if others else ""
    instead = f"{_by(found.get(first))} instead of {_by(wanted.get(first))}"
    return len(names), f"{printable(first[:100])} has shape {instead}{more}"


def _by(shape: Shape | None) -> str:
    return "none" if shape is None else "×".join(map(str, shape[:9])) or "a scalar"


def save_state(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write training state atomically: the old file stays intact until the new one is complete."""
    write_bytes(path, _serialized(tensors, {"format": STATE_FORMAT, **header}))


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file that `save_state` wrote."""
    tensors, header = read_safetensors(path, STATE_FORMAT)
    return {name: torch.from_numpy(value) for name, value in tensors.items()}, header


def _serialized(tensors: Mapping[str, Tensor], header: dict[str, str]) -> bytes:
    """Serialize to safetensors with a sorted header; safetensors itself writes it in any order."""
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = save(state, metadata=header)
    start = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:start])
    table["__metadata__"] = dict(sorted(table["__metadata__"].items()))
    text = json.dumps(table, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]

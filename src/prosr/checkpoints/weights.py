"""Weights and training state on disk: safetensors, strict, atomic, nothing executed.

A weights file carries its network's layout and its model card in the header, so that the
file alone is enough to rebuild the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from prosr import models
from prosr.checkpoints.community import load_community
from prosr.config import PRESETS, net_config
from prosr.errors import CheckpointError, ConfigError
from prosr.files import write_bytes
from prosr.layouts import CommunityConfig, NetConfig
from prosr.models import COMMUNITY_SUFFIXES, WEIGHTS_FORMAT, WeightsFile, read_safetensors
from prosr.nets.build import build
from prosr.nets.network import Network

STATE_FORMAT = "prosr-training-state-1"


@dataclass(frozen=True)
class Weights:
    """A network in evaluation mode with what its file says of it.

    `sha256` is of the parameters (names, shapes and values), so it stays the same when
    only the card changes; it is empty for a network without parameters.
    """

    name: str
    net: Network
    config: NetConfig | CommunityConfig
    card: dict[str, Any]
    sha256: str


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the parameters in the order of their names; empty if there are none."""
    return models.weights_hash(
        {name: value.detach().cpu().numpy() for name, value in state.items()}
    )


def save_weights(
    path: Path, net: Network, config: NetConfig | CommunityConfig, card: Mapping[str, Any]
) -> str:
    """Write the network's parameters, layout and model card; return the parameters' hash."""
    write_bytes(path, serialize_weights(net, config, card))
    return weights_hash(net.state_dict())


def serialize_weights(
    net: Network, config: NetConfig | CommunityConfig, card: Mapping[str, Any]
) -> bytes:
    """The bytes of a weights file."""
    header = {
        "format": WEIGHTS_FORMAT,
        "config": config.model_dump_json(),
        "card": json.dumps(dict(card)),
    }
    return _serialized(net.state_dict(), header)


def load_weights(path: Path) -> Weights:
    """Rebuild the network of a weights file; every parameter must fit exactly."""
    return from_file(models.read_weights(path))


def from_file(weights: WeightsFile) -> Weights:
    """Rebuild the network that a weights file describes, in evaluation mode.

    Raises `CheckpointError` where layout and parameters do not fit each other.
    """
    source = str(weights.path or weights.name)
    try:
        config = net_config(weights.layout)
    except ConfigError as error:
        raise CheckpointError(
            f"{source}: the layout in its header cannot be used ({error}); "
            "it was made by another version of prosr or is damaged"
        ) from error
    tensors = {name: torch.from_numpy(value) for name, value in weights.tensors.items()}
    # Without memory for parameters, until they are known to be no more than the file has.
    with torch.device("meta"):
        _compare(build(config), tensors, source)
    net = build(config)
    net.load_state_dict(tensors)
    return Weights(weights.name, net.eval(), config, weights.card, weights.sha256)


def fit(net: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy `tensors` into `net`, or raise `CheckpointError` with what differs."""
    _compare(net, tensors, source)
    net.load_state_dict(dict(tensors), strict=True)


def _compare(net: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    own = net.state_dict()
    missing = [name for name in own if name not in tensors]
    unexpected = [name for name in tensors if name not in own]
    reshaped = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    for what, names in (("lacks", missing), ("has extra", unexpected), ("reshapes", reshaped)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CheckpointError(
                f"{source}: {what} {names[0]}{more}; the file and the network's layout differ"
            )
    for name, value in own.items():
        if value.is_floating_point() != tensors[name].is_floating_point():
            raise CheckpointError(
                f"{source}: {name} is stored as {tensors[name].dtype}, but the network has "
                f"{value.dtype}; get another copy or retrain it"
            )


def find(name: str | Path, strength: float = 1.0) -> Weights:
    """Load a bundled model by its name or any weights file by its path, as a network.

    See `prosr.models.find_weights`; `prosr.checkpoints.community.load_community` reads a
    .pth, .pt or .ckpt.
    """
    path = Path(name)
    if path.suffix in COMMUNITY_SUFFIXES and strength == 1:
        return _load_community(path)
    return from_file(models.find_weights(name, strength))


def _load_community(path: Path) -> Weights:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    net = load_community(path)
    return Weights(path.stem, net, net.layout, {}, weights_hash(net.state_dict()))


def find_or_build(name: str) -> Weights:
    """`find`, or of a preset that comes without weights a network with fresh parameters."""
    config = PRESETS.get(name)
    if config is None or is_bundled(name):
        return find(name)
    return Weights(name, build(config).eval(), config, {}, "")


def is_bundled(name: str) -> bool:
    """Whether a preset of this name comes with weights, or needs none."""
    return name in models.bundled_models()


def save_state(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write training state atomically: the old file stays whole until the new one is."""
    write_bytes(path, _serialized(tensors, {"format": STATE_FORMAT, **header}))


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_state` wrote."""
    tensors, header = read_safetensors(path, STATE_FORMAT)
    return {name: torch.from_numpy(value) for name, value in tensors.items()}, header


def load_state_header(path: Path) -> dict[str, str]:
    """What `save_state` wrote beside the tensors."""
    return read_safetensors(path, STATE_FORMAT, with_tensors=False)[1]


def _serialized(tensors: Mapping[str, Tensor], header: dict[str, str]) -> bytes:
    """A safetensors file of these; safetensors alone would write the header in any order."""
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = save(state, metadata=header)
    start = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:start])
    table["__metadata__"] = dict(sorted(table["__metadata__"].items()))
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]

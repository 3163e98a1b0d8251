"""Weights and training state on disk: safetensors, strict, atomic, nothing executed.

A weights file carries its network's layout and its model card in the header, so that the
file alone is enough to rebuild the network.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from prosr.checkpoints.community import SUFFIXES, load_community
from prosr.config import PRESETS, net_config
from prosr.errors import CheckpointError, ConfigError, suggestion
from prosr.files import write_bytes
from prosr.layouts import BicubicConfig, CommunityConfig, NetConfig
from prosr.nets.baselines.bicubic import Bicubic
from prosr.nets.build import build
from prosr.nets.network import Network

WEIGHTS_FORMAT = "prosr-weights-1"
STATE_FORMAT = "prosr-training-state-1"

_STRENGTH = re.compile(r"(.+)@([01]|[01]?\.\d+)")


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
    if not state:
        return ""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def save_weights(
    path: Path, net: nn.Module, config: NetConfig | CommunityConfig, card: Mapping[str, Any]
) -> str:
    """Write the network's parameters, layout and model card; return the parameters' hash."""
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    header = {
        "format": WEIGHTS_FORMAT,
        "config": config.model_dump_json(),
        "card": json.dumps(dict(card)),
    }
    write_bytes(path, _serialized(state, header))
    return weights_hash(state)


def load_weights(path: Path) -> Weights:
    """Rebuild the network of a weights file; every parameter must fit exactly."""
    tensors, header = _read(path, WEIGHTS_FORMAT)
    try:
        config = net_config(json.loads(header["config"]))
        card = json.loads(header.get("card", "{}"))
        if not isinstance(card, dict):
            raise ConfigError("its card is no table")
    except (KeyError, json.JSONDecodeError, RecursionError, ConfigError) as error:
        raise CheckpointError(
            f"{path}: the layout in its header cannot be used ({error}); "
            "it was made by another version of prosr or is damaged"
        ) from error
    # Without memory for parameters, until they are known to be no more than the file has.
    with torch.device("meta"):
        _compare(build(config), tensors, str(path))
    net = build(config)
    net.load_state_dict(tensors)
    for key, value in net.state_dict().items():
        if not value.isfinite().all():
            raise CheckpointError(
                f"{path}: {key} is not finite throughout; get another copy, or train it anew"
            )
    return Weights(path.stem, net.eval(), config, card, weights_hash(tensors))


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


def find(name: str | Path) -> Weights:
    """Load a bundled model by its name or any weights file by its path.

    Either may end in a strength, as in "progansr-xs@0.7": see `at_strength`. A .pth, .pt
    or .ckpt is what `prosr.checkpoints.community.load_community` makes of it.
    Raises `CheckpointError` where there is no such file, or the name is a preset whose
    weights are not bundled, and `ConfigError` for an unknown name.
    """
    path = Path(name)
    if (named := _STRENGTH.fullmatch(str(name))) and not path.exists():
        return at_strength(named[1], float(named[2]))
    if path.suffix == ".safetensors":
        return load_weights(path)
    if path.suffix in SUFFIXES:
        return _load_community(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name a model or a .safetensors file")
    if path.exists():
        raise CheckpointError(
            f"{path}: not a .safetensors weights file; `prosr convert` makes one of a released file"
        )
    known = PRESETS
    with_weights = [other for other in known if is_bundled(other)]
    if str(name) not in known:
        other = suggestion(str(name), known, with_weights)
        raise ConfigError(f"no model is called {str(name)!r}{other}")
    config = known[str(name)]
    if isinstance(config, BicubicConfig):
        return Weights(str(name), Bicubic().eval(), config, {}, "")
    bundled = Path(str(files("prosr") / "weights" / f"{name}.safetensors"))
    if not bundled.exists():
        raise CheckpointError(
            f"{name} comes without weights; train it, convert a released file with "
            f"`prosr convert`, or use one of: {', '.join(with_weights)}"
        )
    return load_weights(bundled)


def _load_community(path: Path) -> Weights:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    net = load_community(path)
    return Weights(path.stem, net, net.layout, {}, weights_hash(net.state_dict()))


def at_strength(name: str | Path, strength: float) -> Weights:
    """What `find` gives, its parameters moved back to those that it was trained from.

    A network trained against a discriminator names the one that it began with, its partner,
    which is looked for beside its file and among the bundled ones. Strength 1 is the
    network itself, 0 exactly its partner; between them the name says so. Raises
    `CheckpointError` where there is no partner or another one than it names.
    """
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength {strength:g} is not between 0 and 1")
    weights = find(name)
    if strength == 1:
        return weights
    partner = _partner(weights, Path(name))
    if strength == 0:
        return partner
    assert not isinstance(weights.config, CommunityConfig), "it has no partner"
    ours, theirs = weights.net.state_dict(), partner.net.state_dict()
    if {key: value.shape for key, value in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        raise CheckpointError(f"{weights.name} and {partner.name} are not of one layout")
    state = {
        key: torch.lerp(theirs[key], value, strength) if value.is_floating_point() else value
        for key, value in ours.items()
    }
    net = build(weights.config)
    fit(net, state, weights.name)
    between = f"{weights.name}@{strength:g}"
    return replace(weights, name=between, net=net.eval(), sha256=weights_hash(state))


def _partner(weights: Weights, path: Path) -> Weights:
    named = weights.card.get("partner")
    if named is None:
        raise CheckpointError(
            f"{weights.name} has one strength only: it was not trained from another network "
            "against a discriminator; leave the strength out"
        )
    try:
        model, sha256 = str(named["model"]), str(named["sha256"])
        beside = path.with_name(f"{model}.safetensors")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: its header does not say which network it was trained from; it is damaged"
        ) from error
    if path.suffix == ".safetensors" and beside.exists():
        found = find(beside)
    elif is_bundled(model):
        found = find(model)
    else:
        raise CheckpointError(
            f"{weights.name} was trained from {model}; put {beside.name} of its own beside it"
        )
    if found.sha256 != sha256:
        raise CheckpointError(
            f"{weights.name} was trained from {model} with parameters {sha256[:12]}…, not from "
            f"{found.sha256[:12]}…, which is here; put {beside.name} of its own beside it"
        )
    return found


def save_state(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write training state atomically: the old file stays whole until the new one is."""
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, _serialized(state, {"format": STATE_FORMAT, **header}))


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_state` wrote."""
    return _read(path, STATE_FORMAT)


def load_state_header(path: Path) -> dict[str, str]:
    """What `save_state` wrote beside the tensors."""
    return _read(path, STATE_FORMAT, tensors=False)[1]


def _read(
    path: Path, expected: str, *, tensors: bool = True
) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            if header.get("format") != expected:
                found = header.get("format", "unknown")
                hint = "; `prosr convert` reads released files"
                raise CheckpointError(
                    f"{path}: not of format {expected} but {found!r}"
                    f"{hint if expected == WEIGHTS_FORMAT else ''}"
                )
            names = stored.keys() if tensors else ()
            return {name: stored.get_tensor(name) for name in names}, header
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def _serialized(state: dict[str, Tensor], header: dict[str, str]) -> bytes:
    """A safetensors file of these; safetensors alone would write the header in any order."""
    data = save(state, metadata=header)
    start = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:start])
    table["__metadata__"] = dict(sorted(table["__metadata__"].items()))
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def weights_name(model: str) -> str:
    """The name of a model's weights, without its strength and an ensemble's mark: "x@0.5+"."""
    plain = model.removesuffix("+")
    named = _STRENGTH.fullmatch(plain)
    return named[1] if named else plain


def find_or_build(name: str) -> Weights:
    """`find`, or of a preset that comes without weights a network with fresh parameters."""
    config = PRESETS.get(name)
    if config is None or is_bundled(name):
        return find(name)
    return Weights(name, build(config).eval(), config, {}, "")


def is_bundled(name: str) -> bool:
    """Whether a preset of this name comes with weights, or needs none."""
    if (config := PRESETS.get(name)) is None:
        return False
    weights = files("prosr") / "weights" / f"{name}.safetensors"
    return isinstance(config, BicubicConfig) or weights.is_file()

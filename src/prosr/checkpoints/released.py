"""The released networks: their tensors' names, their options, and which of them a file is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from prosr.checkpoints import archives
from prosr.checkpoints.tensors import Refused, StoredTensor, printable
from prosr.config import PRESETS
from prosr.errors import CheckpointError
from prosr.layouts import NetConfig, ProSRConfig
from prosr.nets.build import build
from prosr.nets.generator import ProSR

RELEASED = ("prosr-l", "prosr-s-2018")
"""Presets whose weights were released."""
SUFFIXES = (".pth", ".pt")
"""Of the files that can be read."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Released:
    """A released network and where it came from."""

    name: str
    """The preset that it is, or what to call it where its layout is of no preset."""
    config: NetConfig
    net: nn.Module
    sha256: str
    """Of the file it was read from."""
    origin: str = "released by the authors of ProSR"
    licence: str = "the authors' own, which came with the released file; not this package's"

    @property
    def tensors(self) -> int:
        return len(self.net.state_dict())

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.net.parameters())

    def card(self, source: str) -> dict[str, str]:
        """Return a model card that tells where the weights come from."""
        return {
            "model": self.name,
            "origin": f"converted from {source}, {self.origin}",
            "source sha256": self.sha256,
            "licence": self.licence,
        }


def read(path: Path) -> Released:
    """Return the network in a released `.pth`, executing nothing in the file.

    Raises `CheckpointError` for a file that is damaged, asks for code to be run, or
    holds anything but a released network.
    """
    data = archives.read_bytes(path)
    try:
        state, options = _parts(archives.unpack(data))
        name, config = recognise({key: tensor.shape for key, tensor in state.items()})
        _check_options(options, config)
        net = load({key: tensor.tensor() for key, tensor in state.items()}, config)
    except Refused as refusal:
        raise CheckpointError(f"{path}: cannot be converted; {refusal}") from refusal
    return Released(name, config, net, hashlib.sha256(data).hexdigest())


def recognise(shapes: Mapping[str, Shape]) -> tuple[str, ProSRConfig]:
    """Return the preset that has tensors of these released names and shapes.

    Raises `Refused` with what differs from the nearest one.
    """
    nearest: tuple[int, str] | None = None
    for name in RELEASED:
        config = PRESETS[name]
        assert isinstance(config, ProSRConfig)
        count, problem = difference(shapes, released_layout(config))
        if count == 0:
            return name, config
        if nearest is None or count < nearest[0]:
            nearest = (
                count,
                f"it is neither {' nor '.join(RELEASED)}; compared with {name}: {problem}",
            )
    assert nearest is not None
    raise Refused(nearest[1])


def load(weights: Mapping[str, Tensor], config: ProSRConfig) -> ProSR:
    """Return a float32 net of this layout with `weights`, which have released names.

    Raises `Refused` for one that is missing, unexpected, of another shape or not finite.
    """
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    count, problem = difference(shapes, released_layout(config))
    if count:
        raise Refused(f"its tensors do not fit the layout: {problem}")
    for name, weight in weights.items():
        if not (weight.is_floating_point() and bool(weight.isfinite().all())):
            raise Refused(f"{name} holds values that are not finite numbers")
    net = _build(config)
    ours = {name: weights[released_name(name, config)].float() for name in net.state_dict()}
    net.load_state_dict(ours)
    return net


def released_layout(config: ProSRConfig) -> dict[str, Shape]:
    """Return the released name and the shape of every tensor of this layout."""
    with torch.device("meta"):
        net = _build(config)
    return {
        released_name(name, config): tuple(tensor.shape)
        for name, tensor in net.state_dict().items()
    }


def released_name(name: str, config: ProSRConfig) -> str:
    """Return what the released code calls our net's tensor `name`, levels counted from 1."""
    match name.split("."):
        case ["v" | "r" as side, scale, kind]:
            level = int(scale).bit_length() - 1
            part = f"init_conv_{level}" if side == "v" else f"reconst_{level}.final_conv"
            return f"{part}.conv.1.{kind}"
        case ["u", depth, "upsampler", "conv", kind]:
            return f"pyramid_residual_{int(depth) + 1}_residual_upsampler.m.0.conv.1.{kind}"
        case ["u", depth, *rest]:
            return f"pyramid_residual_{int(depth) + 1}.{_in_level(rest, int(depth), config)}"
    raise ValueError(f"{name} is not the name of a ProSR tensor")


def _in_level(path: list[str], depth: int, config: ProSRConfig) -> str:
    block, dense = "denseblock", "dense"
    if config.residual:
        block, dense = "residual_denseblock", "dense_block"
    match path:
        case ["entry", kind]:
            return f"compression_{depth}.conv1.{kind}"
        case ["cap", kind]:
            return f"final_conv.final_comp.conv1.{kind}"
        case ["conv", kind]:
            return f"final_conv.final_conv.conv.1.{kind}"
        case ["dcus", i, "compression", kind]:
            return f"{block}_{int(i) + 1}.comp.conv1.{kind}"
        case ["dcus", i, "layers", j, "squeeze", kind]:
            return f"{block}_{int(i) + 1}.{dense}.denselayer{int(j) + 1}.conv_1.{kind}"
        case ["dcus", i, "layers", j, "conv", kind]:
            return f"{block}_{int(i) + 1}.{dense}.denselayer{int(j) + 1}.conv_2.conv.1.{kind}"
    raise ValueError(f"{'.'.join(path)} is not the name of a tensor in a ProSR level")


def _parts(content: object) -> tuple[dict[str, StoredTensor], Mapping[str, object]]:
    """Return the state dict, without DataParallel's prefix, and the generator's options."""
    if not isinstance(content, dict):
        raise Refused("it does not hold a dict with a state_dict")
    state, params = content.get("state_dict", content), content.get("params")
    if not isinstance(state, dict) or not state:
        raise Refused("it holds no state_dict")
    for name, value in state.items():
        if not isinstance(value, StoredTensor):
            raise Refused(f"its state_dict has {printable(name)}, which is not a tensor")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    options = params.get("G") if isinstance(params, dict) else None
    return state, options if isinstance(options, dict) else {}


def _check_options(options: Mapping[str, object], config: ProSRConfig) -> None:
    """Refuse options that change what the net computes without changing any shape."""
    if options.get("ps_woReLU"):
        raise Refused("its option ps_woReLU asks for an upsampler without ReLU, ours has one")
    factor = options.get("res_factor", config.residual_scale)
    if config.residual and factor != config.residual_scale:
        raise Refused(f"its option res_factor is not {config.residual_scale}")


def _build(config: ProSRConfig) -> ProSR:
    net = build(config)
    assert isinstance(net, ProSR)
    return net


def difference(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> tuple[int, str]:
    """Return how many tensors differ and a clause that counts them and names the first ones."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    other = [name for name in expected if name in found and found[name] != expected[name]]
    clauses = []
    if missing:
        clauses.append(
            f"{len(missing)} of {len(expected)} tensors are missing ({missing[0]} first)"
        )
    if unexpected:
        clauses.append(f"{len(unexpected)} are unexpected ({printable(unexpected[0])} first)")
    if other:
        name = other[0]
        shapes = f"{_by(found[name])} instead of {_by(expected[name])}"
        clauses.append(f"{len(other)} have another shape ({name} first, {shapes})")
    return len(missing) + len(unexpected) + len(other), ", ".join(clauses)


def _by(shape: Shape) -> str:
    return printable("×".join(map(str, shape)) or "a scalar")

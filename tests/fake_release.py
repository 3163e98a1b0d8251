"""Writes files as the released code does, and translates its options to our layouts."""

from __future__ import annotations

import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prosr.checkpoints.released import released_name
from prosr.checkpoints.weights import Shape, expected
from prosr.config import net_config
from prosr.layouts import ProSRConfig

OPTIONS_L = {"num_init_features": 160, "residual_denseblock": True, "res_factor": 0.2}

_OURS = {
    "num_init_features": "features",
    "bn_size": "bottleneck",
    "level_config": "dcus",
    "residual_denseblock": "residual",
    "res_factor": "residual_scale",
    "max_num_feature": "max_features",
    "block_compression": "dcu_compression",
    "level_compression": "level_compression",
}


def layout_of(options: Mapping[str, Any]) -> ProSRConfig:
    """The layout that the released code's options (`params.G`) describe."""
    values = {ours: options[theirs] for theirs, ours in _OURS.items() if theirs in options}
    assert not options["ps_woReLU"], "our upsampler always has its ReLU"
    assert options.keys() <= {*_OURS, "growth_rate", "ps_woReLU", "max_scale"}
    # A negative rate means that a level keeps its input width.
    if values["level_compression"] < 0:
        values["level_compression"] = 1.0
    config = net_config({"kind": "prosr", **values, "growth": (options["growth_rate"],) * 3})
    assert isinstance(config, ProSRConfig)
    return config


@contextmanager
def easydict() -> Iterator[type]:
    """Provide a class that pickles as `easydict.EasyDict` does: items, repeated as state."""
    module = types.ModuleType("easydict")

    class EasyDict(dict[str, Any]):
        def __init__(self, items: Mapping[str, Any]) -> None:
            super().__init__(items)
            self.__dict__.update(items)

    EasyDict.__module__, EasyDict.__qualname__ = "easydict", "EasyDict"
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    assert "easydict" not in sys.modules
    sys.modules["easydict"] = module
    try:
        yield EasyDict
    finally:
        del sys.modules["easydict"]


def released_shapes(layout: ProSRConfig) -> dict[str, Shape]:
    """The released name and the shape of every tensor of this layout."""
    return expected(layout, partial(released_name, layout=layout))


def weights(config: ProSRConfig, seed: int = 0) -> OrderedDict[str, Tensor]:
    """Return random weights with the released names of this layout."""
    generator = torch.Generator().manual_seed(seed)
    layout = released_shapes(config)
    return OrderedDict(
        (name, 0.01 * torch.randn(shape, generator=generator)) for name, shape in layout.items()
    )


def save(
    path: Path,
    state: Mapping[str, Any],
    *,
    zipped: bool,
    options: Mapping[str, Any] = OPTIONS_L,
    protocol: int = 2,
) -> Path:
    """Write a released checkpoint as a zip file or as a stream of PyTorch before 1.6."""
    with easydict() as edict:
        content = {
            "state_dict": state,
            "params": edict({"G": edict(options), "data": edict({"scale": [2, 4, 8]})}),
            "class_name": "ProSR",
        }
        torch.save(
            content,
            path,
            _use_new_zipfile_serialization=zipped,
            pickle_protocol=protocol,
        )
    return path

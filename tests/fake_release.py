"""Files as the released code would have written them, made on the fly."""

from __future__ import annotations

import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prosr import legacy
from prosr.layouts import ProSRConfig

OPTIONS_L = {"num_init_features": 160, "residual_denseblock": True, "res_factor": 0.2}


@contextmanager
def easydict() -> Iterator[type]:
    """Lend a class that pickles as `easydict.EasyDict` does: items, and the same as state."""
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


def weights(config: ProSRConfig, seed: int = 0) -> OrderedDict[str, Tensor]:
    """Return random weights with the released names of this layout."""
    generator = torch.Generator().manual_seed(seed)
    layout = legacy.released_layout(config)
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
    """Write a released checkpoint as a zip file, or as the stream of PyTorch before 1.6."""
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

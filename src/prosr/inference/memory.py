"""How much memory a network's activations need, found by watching it run."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prosr.errors import ConfigError


def peak_bytes(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Most bytes of tensors that are alive at once while `function(x)` runs.

    x and what exists before (parameters) do not count. Nor does what kernels take for
    themselves: reordered copies of a layer's input and weights.
    """
    with torch.inference_mode(), _Watch() as watch:
        function(x)
    peak: int = watch.peak
    return peak


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        known = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _key(leaf) not in known | self._alive.keys():
                storage = leaf.untyped_storage()
                self._alive[_key(leaf)] = storage.nbytes()
                weakref.finalize(storage, self._alive.pop, _key(leaf), None)
        self.peak = max(self.peak, sum(self._alive.values()))
        return result


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def parse_size(text: str) -> int:
    """Bytes of "2G", "512 MB", "1.5g" or "2000000000", by powers of 1000."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise ConfigError(f"{text!r} is no size; write for example 2G or 512M")
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " "))

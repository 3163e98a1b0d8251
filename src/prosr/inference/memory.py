"""How much memory a network needs, found by watching it run, and how freed memory is kept."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prosr.errors import ConfigError

RESERVED = 430_000_000
"""Bytes for Python, PyTorch, libvips and what reads and writes: 360 MB are resident before
the first tile (Linux x86-64, PyTorch 2.13)."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BLOCK = 2**30
_MOST = 2.0**60
"""Bytes that no machine has, and that engines still can count with."""

# The second is what arrives in inference mode.
_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.conv2d.default)


class Cost(NamedTuple):
    """Most bytes of tensors alive at once, and the multiply-adds of convolutions."""

    bytes: int
    multiply_adds: int


def observe(function: Callable[[Tensor], Tensor], x: Tensor) -> Cost:
    """What `function(x)` costs, found by running it.

    x and what exists before (parameters) do not count. Nor does what kernels take for
    themselves: reordered copies of a layer's input and weights.
    """
    with torch.inference_mode(), _Watch() as watch:
        function(x)
    return Cost(watch.peak, watch.multiply_adds)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self.multiply_adds = 0
        self._alive: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # To skip PyTorch's compiler is to import it, which takes nearly as long as PyTorch.
        return False

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
        if func in _CONVOLUTIONS:
            weight = args[1]
            self.multiply_adds += result.numel() * weight.numel() // weight.shape[0]
        return result


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


@cache
def reuse_freed_memory() -> None:
    """Make glibc keep freed memory for the next tile, instead of returning it to the system.

    Every layer of every tile takes and frees blocks of many megabytes. Returned to the
    system, they come back as pages to be zeroed one by one: that was half of the time for
    `prosr-xs` ×4 on tiles of 384×384. It holds for the process, from the first call on; on
    systems without glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    # The second alone would only stop glibc from raising the first by itself.
    if mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK):
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BLOCK)


def release_freed_memory() -> None:
    """Give back to the system what `reuse_freed_memory` kept, before others need memory."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident_memory() -> int | None:
    """Bytes that this process has in memory now, or None where nothing tells."""
    return _told_by_linux("VmRSS:")


def _told_by_linux(field: str) -> int | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.partition(field)[2].split()[0])
    except (OSError, IndexError):
        return None


def peak_memory() -> int | None:
    """Most bytes that this process had in memory so far, or None where nothing tells."""
    # `getrusage` counts on Linux what the parent had when it started this process.
    if peak := _told_by_linux("VmHWM:"):
        return peak
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def parse_size(text: str) -> int:
    """Bytes of "2G", "512 MB", "1.5g" or "2000000000", by powers of 1000."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise ConfigError(f"{text!r} is no size; write for example 2G or 512M")
    size = float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " ")
    return int(min(size, _MOST))

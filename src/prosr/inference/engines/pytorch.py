"""PyTorch behind the protocol of engines: the reference that the others must agree with."""

from __future__ import annotations

from torch import nn

from prosr.inference.engines.planned import Function
from prosr.inference.memory import reuse_freed_memory


class TorchRunner:
    """PyTorch in float32, channels last."""

    name = "torch"
    precision = "fp32"
    growth = stage_growth = 2.2
    results = 0.0
    """For what kernels copy (up to 1.5, prosr-s-2018 with its odd widths) and the allocator
    keeps in pieces (2.1, prosr-xs); x86-64, PyTorch 2.13, glibc."""
    copies = 0.0
    parting = 1.0
    least = 1

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        if device == "cpu":
            reuse_freed_memory()

    def held(self, weights: int) -> int:
        return weights

    def prepare(self, net: nn.Module, part: str, function: Function) -> Function:
        return function

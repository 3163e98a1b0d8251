"""The PyTorch engine: for networks in training, for GPUs, and as the reference."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from prosr.inference.engine import Engine, MemoryModel, ScaleCost
from prosr.inference.tiling import Block
from prosr.nets.cost import trace
from prosr.nets.network import Network

_MEMORY = MemoryModel(reserved=430_000_000, weights=1, activations=2.2, results=0)
"""The factor of the activations covers copies in kernels (up to 1.5, prosr-s-2018 with its odd
widths) and fragmentation (2.1, an earlier prosr-xs); x86-64, PyTorch 2.13, glibc."""


class TorchEngine(Engine):
    """A network in float32, channels last, on its own device or the given one."""

    name: ClassVar[str] = "torch"

    def __init__(self, net: Network, max_memory: int, device: str | None = None) -> None:
        self._net = net if device is None else net.to(device)
        self._device = next((p.device for p in net.parameters()), torch.device("cpu"))

        def cost(scale: int) -> ScaleCost:
            traced = trace(net, scale)
            return ScaleCost(traced.radius, traced.bytes, smallest_side(net))

        weights = sum(p.numel() * p.element_size() for p in net.parameters())
        super().__init__(net.scales, cost, weights, max_memory, _MEMORY)

    def run(self, x: Block, scale: int) -> Block:
        # Kernels are chosen by strides: tiles of equal shape must have equal ones, or they
        # would differ in the last bit.
        batch = torch.tensor(x).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            y = self._net(batch.to(self._device), scale)
        result: Block = y.cpu().contiguous().numpy()
        return result


def smallest_side(net: nn.Module) -> int:
    """The least height and width of a network's input, in every engine.

    Reflection by one pixel needs two.
    """
    return 2 if any(getattr(m, "padding_mode", "") == "reflect" for m in net.modules()) else 1


def best_device() -> str:
    """The device that "torch" computes on: a GPU if there is one."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"

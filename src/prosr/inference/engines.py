"""What computes a tile: one small protocol, and PyTorch behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.inference.memory import RESERVED, observe, reuse_freed_memory
from prosr.inference.staging import Plan, Stage, make_plan, radius_of, run_plan, sides, tiled_pixels
from prosr.resample import upscale

_KERNELS = 2.2
"""Growth of the process over the peak of the tensors alone, for what kernels copy (up to
1.5, prosr-s-2018 with its odd widths) and the allocator keeps in pieces (2.1, prosr-xs);
x86-64, PyTorch 2.13, glibc."""

_ROUNDING = 10
"""Results' worth of memory for bringing a tile to samples."""

_READING = 150
"""Bytes per pixel for bringing samples to a tile."""

_PROBE = 16
"""Side of the input on which memory is measured: small enough to cost milliseconds."""

_ROOMY = 10
"""Sides of a tile, in halos, from which the halo (then 1.6 times the arithmetic) stays."""

_LARGE = 2048
"""Side of the picture for which stages are planned."""


class Engine(Protocol):
    """Enlarges tiles within a memory budget."""

    name: str

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        """x, float32 [N, 3, H, W] RGB in [0, 1] → [N, 3, sH, sW] on the CPU, not clipped."""
        ...

    def radius(self, scale: int) -> int:
        """Input pixels around an output pixel's own that it can depend on."""
        ...

    def pixels(self, scale: int) -> int:
        """The most pixels that a tile may have within the budget."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A network whose R_s (Eq. 1) can be computed stage after stage.

    A stage is a function, the factor by which it enlarges and its radius in its own
    input's pixels. What the last one gives is R_s(x), to which φ_s(x) is added (Eq. 2).
    """

    def stages(self, scale: int) -> Sequence[tuple[Callable[[Tensor], Tensor], int, int]]: ...


class _Staged(NamedTuple):
    """Tiles of at most `pixels`, each by `plan` through the stages."""

    pixels: int
    plan: Plan
    stages: list[Stage]


class TorchEngine:
    """The reference: PyTorch in float32, on a CPU channels last.

    Where the budget leaves a tile little more than its halo, a staged network goes stage
    by stage; see `prosr.inference.staging`.
    """

    name = "torch"

    def __init__(self, net: nn.Module, max_memory: int, device: str = "cpu") -> None:
        self._net: Any = net.to(device)
        self._device = torch.device(device)
        if self._device.type == "cpu":
            reuse_freed_memory()
        weights = sum(p.numel() * p.element_size() for p in net.parameters())
        self._budget = max_memory - RESERVED - weights
        if self._budget <= 0:
            need = (RESERVED + weights) / 1e9 + 0.1
            raise ConfigError(
                f"a memory limit of {max_memory / 1e9:.2g} GB is too low; "
                f"give at least {need:.1f} GB"
            )
        self._bytes = cache(self._measure)
        self._staged = cache(self._plan_stages)

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        with torch.inference_mode():
            # Kernels are chosen by strides: equal tiles must have equal ones, or they would
            # differ in the last bit.
            x = x.to(self._device).contiguous().contiguous(memory_format=torch.channels_last)
            staged = self._staged(scale)
            if staged is None or _area(x) * self._bytes(scale) <= self._budget:
                y: Tensor = self._net(x, scale)
            else:
                y = run_plan(staged.plan, staged.stages, x) + upscale(x, scale)
            return y.cpu()

    def radius(self, scale: int) -> int:
        return int(self._net.receptive_radius(scale))

    def pixels(self, scale: int) -> int:
        staged = self._staged(scale)
        return self._budget // self._bytes(scale) if staged is None else staged.pixels

    def _measure(self, scale: int) -> int:
        """Bytes that the network needs per input pixel, its result included."""
        x = self._probe()
        cost = observe(lambda x: self._net(x, scale), x)
        network = int(_KERNELS * cost.bytes) // _area(x)
        return network + _READING + _ROUNDING * _result_bytes(scale)

    def _plan_stages(self, scale: int) -> _Staged | None:
        """How to go stage by stage, or None where whole tiles are large enough."""
        side = math.isqrt(self._budget // self._bytes(scale))
        if side >= _ROOMY * self.radius(scale) or not isinstance(self._net, Staged):
            return None
        stages = self._measure_stages(scale)
        best, least = None, math.inf
        for tile in sides(_LARGE, radius_of(stages)):
            left = self._budget - tile**2 * (_READING + _ROUNDING * _result_bytes(scale))
            plan = make_plan(stages, tile, left) if left > 0 else None
            if plan is not None:
                tiles = tiled_pixels(_LARGE, tile, radius_of(stages)) / tile**2
                if tiles * plan.multiply_adds < least:
                    least = tiles * plan.multiply_adds
                    best = _Staged(tile**2, plan, stages)
        return best

    def _measure_stages(self, scale: int) -> list[Stage]:
        stages, z = [], self._probe()
        for function, factor, radius in self._net.stages(scale):
            cost, area = observe(function, z), _area(z)
            work = _bytes(z) + int(_KERNELS * cost.bytes)
            with torch.inference_mode():
                z = function(z)
            costs = work // area, _bytes(z) // area, cost.multiply_adds // area
            stages.append(Stage(function, factor, radius, *costs))
        return stages

    def _probe(self) -> Tensor:
        x = torch.full((1, 3, _PROBE, _PROBE), 0.5, device=self._device)
        return x.contiguous(memory_format=torch.channels_last)


def _area(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _result_bytes(scale: int) -> int:
    return 3 * 4 * scale**2

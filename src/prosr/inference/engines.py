"""What computes a tile: one small protocol, and PyTorch behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.inference.memory import peak_bytes
from prosr.inference.tiling import fit, tiled
from prosr.resample import upscale

RESERVED = 400_000_000
"""Bytes for Python, PyTorch, libvips and their buffers: 330 MB are resident before the
first tile (Linux x86-64, PyTorch 2.13)."""

_KERNELS = 1.6
"""Peak of the process over that of the tensors alone, for what kernels copy: 1.01 for
prosr-xs to 1.5 for prosr-s-2018 with its odd widths (x86-64, PyTorch 2.13)."""

_PROBE = 16
"""Side of the input on which memory is measured: small enough to cost milliseconds."""

_SUM = 4
"""Results' worth of memory that R_s, φ_s, what makes φ_s and their sum take."""

_ROOMY = 8
"""Sides of a tile, in halos, from which the halo costs less than staging would."""


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


class _Stage(NamedTuple):
    """A stage and the bytes that it works with and gives, per pixel of its input."""

    function: Callable[[Tensor], Tensor]
    factor: int
    radius: int
    work: int
    result: int


class TorchEngine:
    """The reference: PyTorch in float32, on a CPU channels last.

    Deep networks need most memory where features are large and least context is needed,
    and most context where features are small. So where the budget would leave a tile
    little more than its halo, a staged network goes stage by stage: each stage is tiled by
    itself, with its own small halo, and only the features between stages are whole.
    """

    name = "torch"

    def __init__(self, net: nn.Module, max_memory: int, device: str = "cpu") -> None:
        self._net: Any = net.to(device)
        self._device = torch.device(device)
        weights = sum(p.numel() * p.element_size() for p in net.parameters())
        self._budget = max_memory - RESERVED - 2 * weights
        if self._budget <= 0:
            need = (RESERVED + 2 * weights) / 1e9 + 0.1
            raise ConfigError(
                f"a memory limit of {max_memory / 1e9:.2g} GB is too low; "
                f"give at least {need:.1f} GB"
            )
        self._bytes = cache(self._measure)
        self._stages = cache(self._measure_stages)

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        with torch.inference_mode():
            x = x.to(self._device).contiguous(memory_format=torch.channels_last)
            if _area(x) * self._bytes(scale) <= self._budget or not self._is_staged:
                y: Tensor = self._net(x, scale)
            else:
                left = self._budget - _area(x) * _SUM * _result_bytes(scale)
                y = _compute(self._stages(scale), x, left) + upscale(x, scale)
            return y.cpu()

    def radius(self, scale: int) -> int:
        return int(self._net.receptive_radius(scale))

    def pixels(self, scale: int) -> int:
        whole = self._budget // self._bytes(scale)
        if not self._is_staged or math.isqrt(whole) >= _ROOMY * self.radius(scale):
            return whole
        first, *others = self._stages(scale)
        # Features take one half of what R_s + φ_s leaves, the stages' tiles the other.
        staged = self._budget // (2 * first.result + _SUM * _result_bytes(scale))
        return max(whole, staged) if others else whole

    @property
    def _is_staged(self) -> bool:
        return isinstance(self._net, Staged)

    def _measure(self, scale: int) -> int:
        """Bytes that the network needs per input pixel, its result included."""
        x = self._probe()
        peak = peak_bytes(lambda x: self._net(x, scale), x) // _area(x)
        return max(int(_KERNELS * peak), _SUM * _result_bytes(scale))

    def _measure_stages(self, scale: int) -> list[_Stage]:
        stages, z = [], self._probe()
        for function, factor, radius in self._net.stages(scale):
            work = _bytes(z) + int(_KERNELS * peak_bytes(function, z))
            area = _area(z)
            with torch.inference_mode():
                z = function(z)
            stages.append(_Stage(function, factor, radius, work // area, _bytes(z) // area))
        return stages

    def _probe(self) -> Tensor:
        x = torch.full((1, 3, _PROBE, _PROBE), 0.5, device=self._device)
        return x.contiguous(memory_format=torch.channels_last)


def _compute(stages: Sequence[_Stage], z: Tensor, budget: int) -> Tensor:
    """The stages one after another on z, whole or in tiles.

    The budget is for what is between z and the result.
    """
    if _area(z) * _work(stages) <= budget:
        for stage in stages:
            z = stage.function(z)
        return z
    pixels = _limit(stages, budget)
    if _area(z) > pixels:
        radius, factor = _radius(stages), math.prod(stage.factor for stage in stages)
        tile = fit((z.shape[2], z.shape[3]), pixels, radius)
        return tiled(lambda part, _: _compute(stages, part, budget), z, factor, tile, radius)
    left = budget - _area(z) * stages[0].result
    return _compute(stages[1:], _compute(stages[:1], z, left), left)


def _limit(stages: Sequence[_Stage], budget: int) -> int:
    """Pixels that `_compute` can take at once: as a whole, or with features in between."""
    whole = budget // _work(stages)
    if len(stages) == 1 or math.isqrt(whole) >= _ROOMY * _radius(stages):
        return whole
    return max(whole, budget // 2 // stages[0].result)


def _work(stages: Sequence[_Stage]) -> int:
    """Bytes that a run through all stages takes at its peak, per pixel that enters."""
    most, area = 0, 1
    for stage in stages:
        most = max(most, area * stage.work)
        area *= stage.factor**2
    return most


def _radius(stages: Sequence[_Stage]) -> int:
    radius = 0
    for stage in reversed(stages):
        radius = -(-radius // stage.factor) + stage.radius
    return radius


def _area(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _result_bytes(scale: int) -> int:
    return 3 * 4 * scale**2

"""Tiles within a memory budget, whatever runs the network: what fits, and how to go about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable
from weakref import WeakMethod

import torch
from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.inference.memory import (
    RESERVED,
    observe,
    release_freed_memory,
    resident_memory,
)
from prosr.inference.staging import Plan, Stage, make_plan, radius_of, run_plan, sides, tiled_pixels
from prosr.inference.tiling import fit, tiled

T = TypeVar("T")

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


class Runner(Protocol):
    """Runs a network, or a part of it, on one device.

    `growth` is what the process grows by over the peak of the tensors as PyTorch would hold
    them and `results` of the whole network's results, float32 all, `stage_growth` the former of
    a stage alone, `copies` how many times a stage's result
    is in memory beside that, `parting` how many times as long the same arithmetic takes stage
    by stage, `held` the bytes that the runner takes for a network with so many bytes of
    weights, and `least` the height and width from which it takes inputs.
    """

    name: str
    precision: str
    device: str
    growth: float
    results: float
    stage_growth: float
    copies: float
    parting: float
    least: int

    def held(self, weights: int) -> int: ...

    def prepare(self, net: nn.Module, part: str, function: Function) -> Function:
        """A function that gives what `function`, a part of `net` called so, gives.

        It takes float32 tensors on `device`, [N, C, H, W] of any H and W from `least` on.
        """
        ...


Function = Callable[[Tensor], Tensor]


@runtime_checkable
class Staged(Protocol):
    """A network whose R_s (Eq. 1) can be computed stage after stage.

    A stage is a function, the factor by which it enlarges and its radius in its own
    input's pixels. What the last one gives is R_s(x), from which `estimate` makes ŷ (Eq. 2).
    """

    def stages(self, scale: int) -> Sequence[tuple[Callable[[Tensor], Tensor], int, int]]: ...

    def estimate(self, residual: Tensor, x: Tensor, scale: int) -> Tensor: ...

    def multiply_adds(self, scale: int) -> int: ...


class _Staged(NamedTuple):
    """Tiles of at most `pixels`, each by `plan` through the stages."""

    pixels: int
    plan: Plan
    stages: list[Stage]


class PlannedEngine:
    """A network on a runner, in tiles that fit into what `max_memory` bytes leave.

    Where the budget leaves a tile little more than its halo, a staged network goes stage
    by stage; see `prosr.inference.staging`. Raises `ConfigError` where nothing is left.
    """

    def __init__(self, net: nn.Module, max_memory: int, runner: Runner) -> None:
        self._net: Any = net.to(runner.device)
        self._runner, self._max_memory = runner, max_memory
        self.name = runner.name
        held = runner.held(sum(p.numel() * p.element_size() for p in net.parameters()))
        self._budget = max_memory - RESERVED - held
        if self._budget <= 0:
            need = (RESERVED + held) / 1e9 + 0.1
            raise ConfigError(
                f"a memory limit of {max_memory / 1e9:.2g} GB is too low; "
                f"give at least {need:.1f} GB"
            )
        self._bytes = _kept(self._measure)
        self._staged = _kept(self._plan_stages)
        self._whole = _kept(self._prepare_whole)
        self._thin = _kept(self._make_thin)

    @property
    def precision(self) -> str:
        """That of what has run last."""
        return self._runner.precision

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        if min(x.shape[2:]) < self._runner.least:
            return self._go_thin(x, scale)
        with torch.inference_mode():
            # Equal tiles of a batch go together as far as they fit.
            most = max(1, self.pixels(scale) // (x.shape[2] * x.shape[3]))
            parts = torch.split(x.to(self._runner.device), most)
            return torch.cat([self._run(part, scale).cpu() for part in parts])

    def _run(self, x: Tensor, scale: int) -> Tensor:
        # Kernels are chosen by strides: equal tiles must have equal ones, or they would
        # differ in the last bit.
        x = x.contiguous().contiguous(memory_format=torch.channels_last)
        staged = self._staged(scale)
        if staged is None or _area(x) * self._bytes(scale) <= self._budget:
            return self._whole(scale)(x)
        return cast(Tensor, self._net.estimate(run_plan(staged.plan, staged.stages, x), x, scale))

    def _go_thin(self, x: Tensor, scale: int) -> Tensor:
        """A strip that the runner does not take goes through PyTorch, in its own tiles."""
        thin, halo = self._thin(scale), self.radius(scale)
        size = x.shape[2], x.shape[3]
        return tiled(thin, x, scale, fit(size, thin.pixels(scale), halo), halo)

    def _make_thin(self, scale: int) -> PlannedEngine:
        from prosr.inference.engines.pytorch import TorchRunner

        return PlannedEngine(self._net, self._max_memory, TorchRunner("cpu"))

    def _prepare_whole(self, scale: int) -> Function:
        net = self._net
        if not hasattr(net, "stages"):
            return self._runner.prepare(net, f"x{scale}", lambda x: cast(Tensor, net(x, scale)))
        # Eq. 2 is computed in float32, whatever the precision of R_s.
        functions = [function for function, _, _ in net.stages(scale)]
        chain = partial(reduce, lambda z, function: function(z), functions)
        residual = self._runner.prepare(net, residual_part(scale), chain)
        return lambda x: net.estimate(residual(x), x, scale)

    def radius(self, scale: int) -> int:
        return int(self._net.receptive_radius(scale))

    def pixels(self, scale: int) -> int:
        staged = self._staged(scale)
        return self._budget // self._bytes(scale) if staged is None else staged.pixels

    def _measure(self, scale: int) -> int:
        """Bytes that the network needs per input pixel, its result included."""
        x = self._probe()
        cost = observe(lambda x: self._net(x, scale), x)
        network = int(self._runner.growth * cost.bytes) // _area(x)
        results = int((self._runner.results + _ROUNDING) * _result_bytes(scale))
        return network + _READING + results

    def _plan_stages(self, scale: int) -> _Staged | None:
        """How to go stage by stage, or None where whole tiles take less time."""
        side = math.isqrt(self._budget // self._bytes(scale))
        if side >= _ROOMY * self.radius(scale) or not isinstance(self._net, Staged):
            return None
        stages = self._measure_stages(scale)
        best, least = None, math.inf
        if side > 2 * self.radius(scale):
            whole = tiled_pixels(_LARGE, side, self.radius(scale)) * self._net.multiply_adds(scale)
            least = whole / self._runner.parting
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
        stages: list[Stage] = []
        z = self._probe()
        for function, factor, radius in self._net.stages(scale):
            cost, area = observe(function, z), _area(z)
            work = _bytes(z) + int(self._runner.stage_growth * cost.bytes)
            with torch.inference_mode():
                z = function(z)
            work += int(self._runner.copies * _bytes(z))
            costs = work // area, _bytes(z) // area, cost.multiply_adds // area
            part = f"x{scale}-stage-{len(stages)}"
            function = self._runner.prepare(self._net, part, function)
            function = partial(_with_room, function, costs[0] + costs[1], self._max_memory)
            stages.append(Stage(function, factor, radius, *costs))
        return stages

    def _probe(self) -> Tensor:
        x = torch.full((1, 3, _PROBE, _PROBE), 0.5, device=self._runner.device)
        return x.contiguous(memory_format=torch.channels_last)


def _kept(make: Callable[[int], T]) -> Callable[[int], T]:
    """The method, asked once for each scale.

    `functools.cache` would keep the object alive with what is kept in it, an engine's memory
    among it, until Python looks for such circles.
    """
    method, known = WeakMethod(cast(Any, make)), dict[int, T]()

    def ask(scale: int) -> T:
        if scale not in known:
            known[scale] = cast(Any, method())(scale)
        return known[scale]

    return ask


def _with_room(function: Function, need: int, most: int, x: Tensor) -> Tensor:
    """A stage, after giving back freed memory where what is kept of it leaves too little.

    Stages free blocks of many sizes, which others do not fit into: `prosr-s` ×4 within
    1 GB would come to 1.05. Always to give them back would take a fifth more time.
    """
    if (resident_memory() or 0) + _area(x) * need > most:
        release_freed_memory()
    return function(x)


def residual_part(scale: int) -> str:
    """What R_s as a whole is called."""
    return f"x{scale}-residual"


def _area(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _result_bytes(scale: int) -> int:
    return 3 * 4 * scale**2

"""Deep networks in little memory: stage by stage, each with its own small tiles.

A tile of a deep network can be mostly halo: `prosr-l` ×8 sees 91 pixels far and takes 100 kB
for each input pixel. But context is needed where features are small, and memory where
they are large. So a chain of stages may be cut: the first of them fill a whole map of
features, tile by tile with their halo, and the others go on from there, with theirs.
Which cuts and which tiles need the least arithmetic is found by trying.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from torch import Tensor

from prosr.inference.tiling import fit, tiled

_SHRINK = 0.75
"""Between one side of a tile that is tried and the next."""

_LEAST_KEPT = 8
"""A tile that keeps fewer pixels than that, each way, is not tried."""


class Stage(NamedTuple):
    """A part of a network and what it costs for each pixel of its input.

    It enlarges by `factor`, sees `radius` pixels far, needs `work` bytes, input included,
    and gives `result` bytes by `multiply_adds`.
    """

    function: Callable[[Tensor], Tensor]
    factor: int
    radius: int
    work: int
    result: int
    multiply_adds: int


@dataclass(frozen=True)
class Plan:
    """How to run a chain of stages on an input: in tiles of at most `pixels`.

    With `cut` 0 a tile goes through all stages at once; else it is taken through the
    first `cut` stages in tiles of `head` pixels, and through the others by `rest`.
    """

    pixels: int
    multiply_adds: int
    cut: int = 0
    head: int = 0
    rest: Plan | None = None


def make_plan(stages: Sequence[Stage], side: int, budget: int) -> Plan | None:
    """The cheapest way for a square input of `side` within `budget` bytes, if there is one.

    The budget is for all but the input and the result.
    """
    radius, work, each = radius_of(stages), _work(stages), _multiply_adds(stages)
    best: Plan | None = None
    for tile in sides(side, radius):
        pixels = tiled_pixels(side, tile, radius)
        if best is not None and pixels * each >= best.multiply_adds:
            break
        if tile**2 * work <= budget:
            return Plan(tile**2, pixels * each)
        for cut in range(1, len(stages)):
            plan = _cut(stages, cut, tile, budget)
            if plan is not None:
                cost = pixels * plan.multiply_adds // tile**2
                if best is None or cost < best.multiply_adds:
                    best = replace(plan, multiply_adds=cost)
    return best


def run_plan(plan: Plan, stages: Sequence[Stage], z: Tensor) -> Tensor:
    """Take z, [N, C, H, W], through the stages as planned."""
    if z.shape[2] * z.shape[3] > plan.pixels:
        return _in_tiles(lambda tile: run_plan(plan, stages, tile), stages, plan.pixels, z)
    if plan.rest is None:
        return _at_once(stages, z)
    head, tail = stages[: plan.cut], stages[plan.cut :]
    if z.shape[2] * z.shape[3] > plan.head:
        z = _in_tiles(lambda tile: _at_once(head, tile), head, plan.head, z)
    else:
        z = _at_once(head, z)
    return run_plan(plan.rest, tail, z)


def radius_of(stages: Sequence[Stage]) -> int:
    """Pixels of the first stage's input on each side that the last one's result depends on."""
    radius = 0
    for stage in reversed(stages):
        radius = -(-radius // stage.factor) + stage.radius
    return radius


def _cut(stages: Sequence[Stage], cut: int, side: int, budget: int) -> Plan | None:
    """The plan for one tile of `side` that is cut there."""
    head, tail = stages[:cut], stages[cut:]
    budget -= side**2 * head[-1].result * _factor(head[:-1]) ** 2
    radius = radius_of(head)
    tile = min(side, math.isqrt(max(budget, 0) // _work(head)))
    if tile < side and tile < 2 * radius + _LEAST_KEPT:
        return None
    rest = make_plan(tail, side * _factor(head), budget)
    if rest is None:
        return None
    cost = tiled_pixels(side, tile, radius) * _multiply_adds(head) + rest.multiply_adds
    return Plan(side**2, cost, cut, tile**2, rest)


def sides(side: int, radius: int) -> Iterator[int]:
    """Sides of tiles to try for a square of `side`, large ones first."""
    yield side
    tile = int(_SHRINK * side)
    while tile >= 2 * radius + _LEAST_KEPT:
        yield tile
        tile = int(_SHRINK * tile)


def tiled_pixels(side: int, tile: int, radius: int) -> int:
    """Pixels of all the tiles that a square is cut into, halos included."""
    if tile >= side:
        return side**2
    return (math.ceil((side - 2 * radius) / (tile - 2 * radius)) * tile) ** 2


def _in_tiles(
    function: Callable[[Tensor], Tensor], stages: Sequence[Stage], pixels: int, z: Tensor
) -> Tensor:
    radius = radius_of(stages)
    tile = fit((z.shape[2], z.shape[3]), pixels, radius)
    return tiled(lambda part, _: function(part), z, _factor(stages), tile, radius)


def _at_once(stages: Sequence[Stage], z: Tensor) -> Tensor:
    return reduce(lambda z, stage: stage.function(z), stages, z)


def _factor(stages: Sequence[Stage]) -> int:
    return math.prod(stage.factor for stage in stages)


def _work(stages: Sequence[Stage]) -> int:
    """Bytes that all stages one after another take at their peak, per pixel that enters."""
    return max(_factor(stages[:i]) ** 2 * stage.work for i, stage in enumerate(stages))


def _multiply_adds(stages: Sequence[Stage]) -> int:
    return sum(_factor(stages[:i]) ** 2 * stage.multiply_adds for i, stage in enumerate(stages))

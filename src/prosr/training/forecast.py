"""The schedule of a run and what it costs, before it starts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from prosr.checkpoints.weights import build
from prosr.config import Recipe
from prosr.evaluation.timing import Isolated, measure
from prosr.layouts import Scale
from prosr.nets.blocks import count_parameters
from prosr.training.curriculum import learning_rate_at, shares, stage_at
from prosr.training.steps import StepWork, make_step


@dataclass(frozen=True)
class Phase:
    """Steps `first` to `last`, with the same open scales.

    `alpha` and `rate` (the learning rate) are those of its first and last step.
    """

    first: int
    last: int
    scales: tuple[Scale, ...]
    alpha: tuple[float, float]
    rate: tuple[float, float]


@dataclass(frozen=True)
class StepCost:
    """A step of one scale: its share of all steps, and its cost on this machine.

    `macs` counts multiply-accumulate operations, forward and backward. `memory` is the peak
    of the process in bytes, Python and PyTorch included.
    """

    scale: Scale
    patch: int
    share: float
    macs: int
    seconds: float
    memory: int


@dataclass(frozen=True)
class Forecast:
    """The phases of a run in order, the number of parameters, and a step of each scale."""

    phases: tuple[Phase, ...]
    parameters: int
    steps: tuple[StepCost, ...]

    def seconds(self, recipe: Recipe) -> float:
        """Seconds of all steps, without validation and saving."""
        return recipe.steps * sum(step.share * step.seconds for step in self.steps)


def forecast(recipe: Recipe, rounds: int, progress: Callable[[str], None]) -> Forecast:
    """Measure `rounds` steps of each scale on noise; `progress` gets a line before each scale."""
    costs = []
    for scale, share in shares(recipe).items():
        progress(f"steps of scale {scale}")
        work = StepWork(recipe, scale)
        with Isolated(make_step, work) as step:
            seconds = measure({"step": step}, rounds)["step"].median
            memory = step.peak_memory()
        costs.append(StepCost(scale, work.patch, share, work.macs, seconds, memory))
    return Forecast(phases(recipe), count_parameters([build(recipe.net)]), tuple(costs))


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Split the steps where a scale opens and where its blending ends."""
    steps, found, first = range(recipe.steps), [], 0
    while first < recipe.steps:
        kind = _kind(recipe, first)
        after = bisect_right(steps, kind, lo=first, key=lambda step: _kind(recipe, step))
        found.append(_phase(recipe, first, after - 1))
        first = after
    return tuple(found)


def _kind(recipe: Recipe, step: int) -> tuple[int, bool]:
    """Number of open scales, and whether the last is complete: never decreases with the step."""
    stage = stage_at(step, recipe)
    return len(stage.scales), stage.alpha == 1


def _phase(recipe: Recipe, first: int, last: int) -> Phase:
    alphas = stage_at(first, recipe).alpha, stage_at(last, recipe).alpha
    rates = learning_rate_at(first, recipe), learning_rate_at(last, recipe)
    return Phase(first, last, stage_at(first, recipe).scales, alphas, rates)

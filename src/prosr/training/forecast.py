"""The schedule of a run and what it costs, before it starts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from prosr.config import Recipe
from prosr.evaluation.timing import Isolated, measure
from prosr.nets.build import build
from prosr.scales import Scale
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
    parameters = build(recipe.net).parameter_count(recipe.net.scales[-1])
    return Forecast(phases(recipe), parameters, tuple(costs))


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Split the steps where a scale opens and where its blending ends."""

    def kind(step: int) -> tuple[int, bool]:
        # It never decreases from one step to the next.
        stage = stage_at(step, recipe)
        return len(stage.scales), stage.alpha == 1

    found: list[Phase] = []
    first = 0
    while first < recipe.steps:
        last = bisect_right(range(recipe.steps), kind(first), lo=first, key=kind) - 1
        start, end = stage_at(first, recipe), stage_at(last, recipe)
        rates = learning_rate_at(first, recipe), learning_rate_at(last, recipe)
        found.append(Phase(first, last, start.scales, (start.alpha, end.alpha), rates))
        first = last + 1
    return tuple(found)

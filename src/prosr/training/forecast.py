"""What a run will do and take, told before it starts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from prosr.config import Recipe
from prosr.lab.apart import Apart
from prosr.lab.rounds import measure
from prosr.nets.build import build
from prosr.scales import Scale
from prosr.training.curriculum import learning_rate_at, shares, stage_at
from prosr.training.steps import Work, make_step


@dataclass(frozen=True)
class Phase:
    """Steps `first` to `last` with the same open scales; two numbers are the first and the last."""

    first: int
    last: int
    scales: tuple[Scale, ...]
    alpha: tuple[float, float]
    rate: tuple[float, float]


@dataclass(frozen=True)
class StepCost:
    """A step of one scale: its share of all steps, and what it takes on this machine.

    `memory` is the peak of a process in bytes, Python and PyTorch included.
    """

    scale: Scale
    patch: int
    share: float
    multiply_adds: int
    seconds: float
    memory: int


@dataclass(frozen=True)
class Forecast:
    """The phases of a run in order, the network's parameters, and a step of each scale."""

    phases: tuple[Phase, ...]
    parameters: int
    steps: tuple[StepCost, ...]

    def seconds(self, recipe: Recipe) -> float:
        """What all steps take; scoring and saving are not in it."""
        return recipe.steps * sum(step.share * step.seconds for step in self.steps)


def forecast(recipe: Recipe, rounds: int, progress: Callable[[str], None]) -> Forecast:
    """Take `rounds` steps of each scale, on noise, and tell what the run comes to."""
    costs = []
    for scale, share in shares(recipe).items():
        progress(f"steps of scale {scale}")
        work = Work(recipe, scale)
        with Apart(make_step, (work, None)) as step:
            seconds = measure({"step": step}, rounds)["step"].median
            memory = step.peak_memory()
        costs.append(StepCost(scale, work.patch, share, work.multiply_adds, seconds, memory))
    parameters = build(recipe.net).parameter_count(recipe.net.scales[-1])
    return Forecast(phases(recipe), parameters, tuple(costs))


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Cut the steps where a scale opens and where one has been blended in."""
    steps, found, first = range(recipe.steps), [], 0
    while first < recipe.steps:
        kind = _kind(recipe, first)
        after = bisect_right(steps, kind, lo=first, key=lambda step: _kind(recipe, step))
        found.append(_phase(recipe, first, after - 1))
        first = after
    return tuple(found)


def _kind(recipe: Recipe, step: int) -> tuple[int, bool]:
    """What never falls from one step to the next: how many scales are open, and whole."""
    stage = stage_at(step, recipe)
    return len(stage.scales), stage.alpha == 1


def _phase(recipe: Recipe, first: int, last: int) -> Phase:
    alphas = stage_at(first, recipe).alpha, stage_at(last, recipe).alpha
    rates = learning_rate_at(first, recipe), learning_rate_at(last, recipe)
    return Phase(first, last, stage_at(first, recipe).scales, alphas, rates)

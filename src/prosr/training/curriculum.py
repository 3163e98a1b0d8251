"""Curriculum, learning rate and averaging decay as functions of the step (3.4)."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from prosr.config import Curriculum, Recipe, Simultaneous
from prosr.scales import SCALES, Scale


@dataclass(frozen=True)
class CurriculumStage:
    """The scales open at a step. The last one is blended in by `alpha`, the others are complete."""

    scales: tuple[Scale, ...]
    alpha: float

    def alpha_of(self, scale: int) -> float:
        """Blending factor α of the level that `scale` adds (Fig. 3)."""
        return self.alpha if scale == self.scales[-1] else 1.0


def stage_at(step: int, recipe: Recipe) -> CurriculumStage:
    """The open scales at `step` by the recipe's schedule (3.4, 4.1).

    A curriculum opens ×2 first, then ×4 and ×8 if the network has them, each blended in.
    """
    schedule, scales, time = recipe.schedule, recipe.scales, step / recipe.steps
    if not isinstance(schedule, Curriculum):
        return CurriculumStage(scales, 1.0)
    for scale, (start, end) in ((8, schedule.blend_8), (4, schedule.blend_4)):
        if scale in scales and time >= start:
            alpha = 1.0 if time >= end else (time - start) / (end - start)
            return CurriculumStage(tuple(s for s in scales if s <= scale), alpha)
    return CurriculumStage((2,), 1.0)


def opened_at(step: int, recipe: Recipe) -> tuple[Scale, ...]:
    """The scales that open at `step`, in ascending order; none at step 0."""
    if step == 0:
        return ()
    before = stage_at(step - 1, recipe).scales
    return tuple(scale for scale in stage_at(step, recipe).scales if scale not in before)


def phases(recipe: Recipe) -> list[range]:
    """Split the steps at the points where a scale opens or its blending ends."""
    schedule = recipe.schedule
    times: list[float] = []
    if isinstance(schedule, Curriculum):
        blends = {4: schedule.blend_4, 8: schedule.blend_8}
        times = [time for scale in recipe.scales[1:] for time in blends[scale]]
    steps = range(recipe.steps)
    ends = {bisect_left(steps, time, key=lambda step: step / recipe.steps) for time in times}
    return [range(*edges) for edges in pairwise(sorted({0, *ends, recipe.steps}))]


def scale_at(step: int, recipe: Recipe) -> Scale:
    """Draw one of the open scales, the same in every process and every run of a seed."""
    scales = stage_at(step, recipe).scales
    draw, frequencies = random.Random(f"scale {recipe.seed} {step}"), _frequencies(recipe)
    if frequencies is None:
        return draw.choice(scales)
    return draw.choices(scales, [frequencies[s] for s in scales])[0]


def shares(recipe: Recipe) -> dict[Scale, float]:
    """Expected share of the steps for each scale.

    With the duration of a step at each scale, a time budget becomes a number of steps before
    the run starts, so that nothing in the run depends on a clock.
    """
    often = _frequencies(recipe) or dict.fromkeys(recipe.scales, 1.0)
    share = dict.fromkeys(recipe.scales, 0.0)
    for phase in phases(recipe):
        scales = stage_at(phase[0], recipe).scales
        for scale in scales:
            drawn = often[scale] / sum(often[s] for s in scales)
            share[scale] += drawn * len(phase) / recipe.steps
    return share


def _frequencies(recipe: Recipe) -> dict[Scale, float] | None:
    """Relative frequency of each scale, or None if all are equal."""
    if not isinstance(recipe.schedule, Simultaneous) or recipe.schedule.often is None:
        return None
    return dict(zip(SCALES, recipe.schedule.often, strict=True))


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate: a linear warm-up, then constant or a half cosine to zero."""
    rate = recipe.learning_rate * min(1.0, (step + 1) / max(recipe.warmup, 1))
    if recipe.decay == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return rate


def ema_decay_at(step: int, recipe: Recipe) -> float:
    """Decay of the averaged weights, lower at first to forget the initial weights."""
    return min(recipe.ema, (step + 1) / (step + 10))

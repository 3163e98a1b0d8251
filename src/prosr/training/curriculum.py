"""The curriculum and all else that changes during training, as functions of the step (3.4)."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from prosr.config import Curriculum, Recipe, Simultaneous
from prosr.scales import SCALES, Scale


@dataclass(frozen=True)
class Stage:
    """The scales open at a step; the last is blended in by `alpha`, the others are whole."""

    scales: tuple[Scale, ...]
    alpha: float

    def alpha_of(self, scale: int) -> float:
        """Share of the level that `scale` adds (Fig. 3)."""
        return self.alpha if scale == self.scales[-1] else 1.0


def stage_at(step: int, recipe: Recipe) -> Stage:
    """Say what is open at `step`, as the recipe's schedule has it (3.4, 4.1)."""
    if isinstance(recipe.schedule, Curriculum):
        return curriculum_at(step / recipe.steps, recipe.schedule, recipe.scales)
    return Stage(recipe.scales, 1.0)


def curriculum_at(time: float, schedule: Curriculum, scales: tuple[Scale, ...]) -> Stage:
    """×2, then those of ×4 and ×8 that are among `scales`, each blended in (3.4)."""
    for scale, (start, end) in ((8, schedule.blend_8), (4, schedule.blend_4)):
        if scale in scales and time >= start:
            alpha = 1.0 if time >= end else (time - start) / (end - start)
            return Stage(tuple(s for s in scales if s <= scale), alpha)
    return Stage((2,), 1.0)


def opened_at(step: int, recipe: Recipe) -> tuple[Scale, ...]:
    """The scales that open at `step`, low ones first; those of the start do not count."""
    if step == 0:
        return ()
    before = stage_at(step - 1, recipe).scales
    return tuple(scale for scale in stage_at(step, recipe).scales if scale not in before)


def scale_at(step: int, recipe: Recipe) -> Scale:
    """Choose one of the open scales at random, the same in every process and every run."""
    scales = stage_at(step, recipe).scales
    draw, often = random.Random(f"scale {recipe.seed} {step}"), _often(recipe)
    if often is None:
        return draw.choice(scales)
    return draw.choices(scales, [often[s] for s in scales])[0]


def shares(recipe: Recipe) -> dict[Scale, float]:
    """The share of the steps that each scale can expect, whatever the number of steps.

    With the seconds that a step of each scale takes, this turns a budget of time into
    one of steps before the run starts, so that nothing in the run depends on a clock.
    """
    schedule, scales = recipe.schedule, recipe.scales
    if not isinstance(schedule, Curriculum):
        often = _often(recipe) or dict.fromkeys(scales, 1.0)
        return {scale: often[scale] / sum(often[s] for s in scales) for scale in scales}
    starts = {2: 0.0, 4: schedule.blend_4[0], 8: schedule.blend_8[0]}
    share = dict.fromkeys(scales, 0.0)
    for opened, scale in enumerate(scales, 1):
        end = 1.0 if opened == len(scales) else starts[scales[opened]]
        for s in scales[:opened]:
            share[s] += (end - starts[scale]) / opened
    return share


def _often(recipe: Recipe) -> dict[Scale, float] | None:
    """How often each scale is drawn, relative to the others; None is equally often."""
    if not isinstance(recipe.schedule, Simultaneous) or recipe.schedule.often is None:
        return None
    return dict(zip(SCALES, recipe.schedule.often, strict=True))


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """The optimizer's rate: linear warm-up, then constant or a half cosine to zero."""
    rate = recipe.learning_rate * min(1.0, (step + 1) / max(recipe.warmup, 1))
    if recipe.decay == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return rate


def ema_decay_at(step: int, recipe: Recipe) -> float:
    """Decay of the averaged weights, lower at first so that the start is forgotten."""
    return min(recipe.ema, (step + 1) / (step + 10))

"""Times training steps on noise, to estimate the cost of a run before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from prosr.config import Recipe
from prosr.data.patches import Batch
from prosr.evaluation.timing import Subject, measure
from prosr.nets.build import build
from prosr.nets.cost import observe
from prosr.scales import SCALES, Scale
from prosr.training.loop import make_stepper
from prosr.training.objectives import update_average
from prosr.training.run import open_run
from prosr.training.session import choose_precision, launch


@dataclass(frozen=True)
class StepWork:
    """One step of a recipe at one of its scales."""

    recipe: Recipe
    scale: Scale

    @property
    def patch(self) -> int:
        """Side of x in pixels."""
        return self.recipe.patch[SCALES.index(self.scale)]

    @property
    def macs(self) -> int:
        """MACs of the step, three times those of the forward pass.

        The backward pass needs as many for the inputs, and again for the weights.
        """
        forward, _ = observe(build(self.recipe.net), self.scale)
        return 3 * forward * self.recipe.batch * self.patch**2

    def make_batch(self) -> Batch:
        """A batch of noise."""
        rng = np.random.default_rng(0)
        sides = self.patch, self.scale * self.patch
        x, y = (
            rng.integers(0, 256, (self.recipe.batch, side, side, 3), np.uint8) for side in sides
        )
        return Batch(0, self.scale, x, y, ("noise",))


def measure_steps(
    recipe: Recipe, rounds: int, progress: Callable[[str], None]
) -> list[tuple[StepWork, float]]:
    """Median seconds of `rounds` steps of each scale on noise; `progress` gets a line before it."""
    steps = []
    for scale in recipe.scales:
        progress(f"steps of scale {scale}")
        work = StepWork(recipe, scale)
        steps.append((work, measure({"step": make_step(work)}, rounds)["step"].median))
    return steps


def make_trainer(recipe: Recipe) -> Callable[[Batch], None]:
    """The step of a real run in a temporary folder, the averaged weights included."""
    fabric = launch(choose_precision(recipe))
    with TemporaryDirectory() as folder:
        run = open_run(Path(folder), recipe, {}, fabric.device)
    take_step = make_stepper(run, fabric)

    def train_on(batch: Batch) -> None:
        take_step(batch, 1.0)
        update_average(run.average, run.net, recipe.ema)

    return train_on


def make_step(work: StepWork) -> Subject:
    """Make a training step on a batch of noise."""
    train_on, batch, steps = make_trainer(work.recipe), work.make_batch(), count()
    # The step's number seeds its random draws, which may change its time.
    return lambda: train_on(replace(batch, step=next(steps)))

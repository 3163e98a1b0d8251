"""A training step on noise, to be timed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from prosr.config import Recipe
from prosr.data.sampler import Batch
from prosr.evaluation.timing import Subject
from prosr.nets.build import build
from prosr.nets.cost import trace
from prosr.scales import SCALES, Scale
from prosr.training.loop import make_stepper
from prosr.training.objectives import update_average
from prosr.training.run import open_run
from prosr.training.session import launch


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
        forward = trace(build(self.recipe.net), self.scale).macs
        return 3 * forward * self.recipe.batch * self.patch**2

    def make_batch(self) -> Batch:
        """A batch of noise."""
        rng = np.random.default_rng(0)
        sides = self.patch, self.scale * self.patch
        x, y = (
            rng.integers(0, 256, (self.recipe.batch, side, side, 3), np.uint8) for side in sides
        )
        return Batch(0, self.scale, x, y, ("noise",))


class TrainingStep:
    """The step of a real run in a temporary folder, the averaged weights included."""

    def __init__(self, work: StepWork) -> None:
        fabric = launch(work.recipe)
        with TemporaryDirectory() as folder:
            self._run = open_run(Path(folder), work.recipe, {}, fabric.device)
        self._take_step = make_stepper(self._run, fabric)

    def __call__(self, batch: Batch) -> None:
        """Train on a batch."""
        self._take_step(batch, 1.0)
        update_average(self._run.average, self._run.net, self._run.recipe.ema)


def make_step(work: StepWork) -> Subject:
    """Make a training step on a batch of noise."""
    take_step, batch, steps = TrainingStep(work), work.make_batch(), count()
    # The step's number seeds its random draws, which may change its time.
    return lambda: take_step(replace(batch, step=next(steps)))

"""Time of a training step, also plain and with each change that makes it faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.optim import Adam

from prosr.config import Recipe, Single
from prosr.data.decoded import DecodedPictures
from prosr.data.patches import PREFETCHED, Batch, PatchSampler, TrainingPicture, prepared
from prosr.evaluation.timing import Subject, Timing, measure
from prosr.inference.memory import reuse_freed_memory
from prosr.lab.isolated import Isolated
from prosr.lab.measurements import PEAK_MACS, TimingRow, fast_types, matrix_products, measured
from prosr.nets.build import build
from prosr.nets.cost import observe
from prosr.scales import SCALES, Scale
from prosr.training.curriculum import scale_at
from prosr.training.loop import make_stepper
from prosr.training.losses import pixel_loss
from prosr.training.objectives import update_average
from prosr.training.run import open_run
from prosr.training.session import choose_precision, launch

_PICTURES = 8
_TYPES = {"fp32": "float32", "bf16": "bfloat16"}


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


@dataclass(frozen=True)
class StepVariant:
    """Changes to the plain step, which is float32 and contiguous, with a for-loop Adam."""

    channels_last: bool = False
    bf16: bool = False
    keep_memory: bool = False


TRAINED = "as prosr train"
VARIANTS: dict[str, StepVariant | None] = {
    "plain: fp32, contiguous, eager": StepVariant(),
    "plain, channels last": StepVariant(channels_last=True),
    "plain, freed memory kept": StepVariant(keep_memory=True),
    "plain, bf16": StepVariant(bf16=True),
    TRAINED: None,
}
"""Variants by their names in the table; None is the step of `prosr train`."""


def time_steps(work: StepWork, rounds: int, progress: Callable[[str], None]) -> list[TimingRow]:
    """Time all variants of a step in turns, with matrix products for the machine's peak.

    Each runs in its own process, those in bfloat16 only where the processor has it.
    """
    fast = fast_types()
    with ExitStack() as processes:
        steps = {
            name: processes.enter_context(Isolated(make_variant, (work, variant)))
            for name, variant in VARIANTS.items()
            if variant is None or not variant.bf16 or "bf16" in fast
        }
        products = {
            f"matrix product, {_TYPES[kind]}": processes.enter_context(
                Isolated(matrix_products, kind)
            )
            for kind in fast
        }
        timings = measure({**steps, **products}, rounds, before=progress)
        rows = {n: _row(work, n, timings[n], step.peak_memory()) for n, step in steps.items()}
    progress("waiting for data")
    with Isolated(make_waiting, (work, 4 * rounds)) as training:
        rows[TRAINED] = rows[TRAINED].model_copy(update={"waiting": training()})
    for name in products:
        values = measured(timings[name])
        rows[name] = TimingRow(case="peak", subject=name, multiply_adds=PEAK_MACS, **values)
    return list(rows.values())


def _row(work: StepWork, name: str, timing: Timing, memory: int) -> TimingRow:
    batch, patch = work.recipe.batch, work.patch
    return TimingRow(
        case=f"{work.recipe.model} ×{work.scale}, {batch} × {patch}×{patch}",
        subject=name,
        multiply_adds=work.macs,
        pictures=batch,
        memory=memory,
        **measured(timing),
    )


def make_variant(request: tuple[StepWork, StepVariant | None]) -> Subject:
    """Make the step of a variant, with its own network."""
    work, variant = request
    if variant is None:
        return make_step(work)
    torch.manual_seed(0)
    if variant.keep_memory:
        reuse_freed_memory()
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    net = build(work.recipe.net).to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = Adam(net.parameters(), 1e-4, foreach=False)
    batch = work.make_batch()

    def step() -> None:
        x, y = (
            (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).contiguous(memory_format=layout)
            for pixels in (batch.x, batch.y)
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
            loss = pixel_loss(net(x, work.scale), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def make_waiting(request: tuple[StepWork, int]) -> Subject:
    """Make a short training that returns the fraction of its time spent waiting for batches."""
    work, steps = request

    def train_and_wait() -> float:
        take_step = make_trainer(work.recipe)
        waited = total = 0.0
        with TemporaryDirectory() as folder:
            batches = prepared(_sampler(work, Path(folder)), range(PREFETCHED + steps), workers=1)
            for index in range(PREFETCHED + steps):
                start = time.perf_counter()
                batch = next(batches)
                arrived = time.perf_counter()
                take_step(batch)
                if index >= PREFETCHED:
                    waited += arrived - start
                    total += time.perf_counter() - start
        return round(waited / total, 4)

    return train_and_wait


def _sampler(work: StepWork, folder: Path) -> PatchSampler:
    """Batches from noise pictures of the same size as those of BSDS500."""
    decoded, pictures = DecodedPictures(folder), []
    for index in range(_PICTURES):
        name = f"noise {index}"
        decoded.add(name, np.random.default_rng(index).integers(0, 256, (321, 481, 3), np.uint8))
        pictures.append(TrainingPicture(Path(name), 321, 481, name, decoded))
    single = work.recipe.model_copy(update={"schedule": Single(scale=work.scale)})
    chosen = partial(scale_at, recipe=single)
    return PatchSampler(pictures, chosen, {work.scale: work.patch}, work.recipe.batch, seed=0)

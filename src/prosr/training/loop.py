"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from prosr.config import Recipe, Scale
from prosr.data.sampler import Batch, PatchSampler
from prosr.training.curriculum import ema_decay_at, learning_rate_at, opened_at, stage_at
from prosr.training.log import RunLog
from prosr.training.objectives import (
    DivergedError,
    StepResult,
    pixel_step,
    supervised,
    update_average,
)
from prosr.training.run import Run

Validate = Callable[[Run, tuple[Scale, ...]], dict[Scale, float]]


class Observer(Protocol):
    """Whoever watches a run, such as a progress bar."""

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        """A step is done; `rate` was its learning rate."""

    def skipped(self, step: int, reason: str) -> None:
        """A step's loss or gradient was not finite; the step was left out."""

    def validated(self, step: int, psnr: dict[Scale, float], best: bool) -> None:
        """The averaged weights were scored, in dB for each open scale."""


@dataclass
class Means:
    """Means of what the steps since the last look gave, for each scale."""

    results: dict[int, list[StepResult]]

    def add(self, result: StepResult) -> None:
        self.results.setdefault(result.scale, []).append(result)

    def take(self) -> dict[str, float]:
        means = {}
        for scale, results in sorted(self.results.items()):
            means[f"loss_x{scale}"] = fmean(result.loss for result in results)
            means[f"gradient_x{scale}"] = fmean(result.gradient_norm for result in results)
        self.results.clear()
        return means


def train(
    run: Run,
    sampler: PatchSampler,
    fabric: Fabric,
    validate: Validate | None,
    observer: Observer,
    should_stop: Callable[[], bool],
    workers: int = 1,
    skip_nonfinite: bool = False,
) -> None:
    """Train from the run's step to its recipe's end, or until `should_stop` says so.

    Either way the state is saved before it returns. A step whose loss or gradient is not
    finite raises `DivergedError`, with the last saved state untouched, or is left out and
    counted with `skip_nonfinite`. Of several processes the first logs, scores and saves.
    """
    recipe, progress, speaks = run.recipe, run.progress, fabric.is_global_zero
    net, optimizer = fabric.setup(supervised(run.net), run.optimizer)
    net.train()
    means = Means({})
    saved = clock = time.monotonic()
    with RunLog(run.folder if speaks else None, progress.step) as log:
        for batch in _batches(sampler, progress.step, recipe, workers):
            stage = stage_at(batch.step, recipe)
            rate = learning_rate_at(batch.step, recipe)
            run.set_rate(rate)
            run.open(opened_at(batch.step, recipe))
            alpha = stage.alpha_of(batch.scale)
            progress.step = batch.step + 1
            try:
                result = pixel_step(fabric, net, optimizer, batch, alpha, recipe.clip)
            except DivergedError as error:
                if not skip_nonfinite:
                    raise
                progress.skipped += 1
                observer.skipped(progress.step, str(error))
            else:
                update_average(run.average, run.net, ema_decay_at(batch.step, recipe))
                means.add(result)
                observer.stepped(progress.step, result, rate)

            if progress.step % recipe.log_every == 0:
                numbers = {"rate": rate, "alpha": stage.alpha, "skipped": progress.skipped}
                log.write("train", progress.step, numbers | means.take())
            progress.seconds += time.monotonic() - clock
            due = progress.step % recipe.validate_every == 0 or run.finished
            if validate and due and speaks:
                scores = validate(run, stage.scales)
                best = _keep_if_best(run, scores)
                log.write("validation", progress.step, _timed(scores, progress.seconds))
                observer.validated(progress.step, scores, best)
            clock = time.monotonic()
            if _any_process(fabric, should_stop()):
                break
            if speaks and time.monotonic() - saved > 60 * recipe.save_minutes:
                run.save()
                saved = time.monotonic()
    if speaks:
        run.save()
    fabric.barrier()


def _batches(sampler: PatchSampler, start: int, recipe: Recipe, workers: int) -> DataLoader[Batch]:
    return DataLoader(
        sampler,
        batch_size=None,
        sampler=range(start, recipe.steps),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )


def _any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether `flag` is set in any process."""
    if fabric.world_size == 1:
        return flag
    flags = cast(Tensor, fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum"))
    return flags.item() > 0


def _timed(psnr: dict[Scale, float], seconds: float) -> dict[str, float]:
    """A validation's numbers for the log, with the training time that they took (Fig. 4)."""
    return {"seconds": seconds} | {f"psnr_x{scale}": value for scale, value in psnr.items()}


def _keep_if_best(run: Run, psnr: dict[Scale, float]) -> bool:
    """Export the averaged weights if they are the best so far; more scales beat fewer."""
    score = (len(psnr), sum(psnr.values()) / len(psnr))
    if score <= run.progress.best:
        return False
    run.progress.best = score
    run.export("best")
    return True

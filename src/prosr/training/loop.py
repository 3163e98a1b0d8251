"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from prosr.data.sampler import Batch, PatchSampler, prepared
from prosr.scales import Scale
from prosr.training.adversarial import CollapsedError, adversarial_step, is_of_use
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

MOST_LEFT_OUT = 100
"""Steps in a row that may diverge and be left out before the run ends all the same."""

Validate = Callable[[Run, tuple[Scale, ...]], dict[Scale, float]]
Draw = Callable[[Run, tuple[Scale, ...]], NDArray[np.float32]]
"""Makes a sheet of samples, [H, W, 3] in [0, 1]."""
Step = Callable[[Batch, float], StepResult]
"""Takes a step for a batch, with the α of its scale."""


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
            for name in results[0].health:
                means[f"{name}_x{scale}"] = fmean(result.health[name] for result in results)
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
    draw: Draw | None = None,
) -> None:
    """Train from the run's step to its recipe's end, or until `should_stop` says so.

    Either way the state is saved before it returns. A step whose loss or gradient is not
    finite raises `DivergedError`, with the last good state saved, or is left out and counted
    with `skip_nonfinite`, unless too many are in a row. A discriminator that is of no use for
    too long raises `CollapsedError`. Of several processes the first logs, scores, draws and
    saves.
    """
    recipe, progress, speaks = run.recipe, run.progress, fabric.is_global_zero
    take_step = make_stepper(run, fabric)
    means = Means({})
    saved = clock = time.monotonic()
    with RunLog(run.folder if speaks else None, progress.step) as log:
        for batch in prepared(sampler, range(progress.step, recipe.steps), workers):
            stage, collapse = stage_at(batch.step, recipe), ""
            rate = learning_rate_at(batch.step, recipe)
            run.set_rate(rate)
            run.open(opened_at(batch.step, recipe))
            progress.step = batch.step + 1
            try:
                result = take_step(batch, stage.alpha_of(batch.scale))
            except DivergedError as error:
                _leave_out(run, error, skip_nonfinite, speaks)
                observer.skipped(progress.step, str(error))
            else:
                progress.left_out = 0
                update_average(run.average, run.net, ema_decay_at(batch.step, recipe))
                means.add(result)
                collapse = _collapse(run, result)
                observer.stepped(progress.step, result, rate)
            if progress.step % recipe.log_every == 0 or collapse:
                numbers = {"rate": rate, "alpha": stage.alpha, "skipped": progress.skipped}
                log.write("train", progress.step, numbers | means.take())
            if collapse:
                raise CollapsedError(collapse)
            progress.seconds += time.monotonic() - clock
            if validate and speaks and _is_due(run, recipe.validate_every):
                _score(run, validate, stage.scales, log, observer)
            if draw and speaks and _wants_sheet(run):
                log.draw("samples", progress.step, draw(run, stage.scales))
            clock = time.monotonic()
            if _any_process(fabric, should_stop()):
                break
            if speaks and time.monotonic() - saved > 60 * recipe.save_minutes:
                run.save()
                saved = time.monotonic()
    if speaks:
        run.save()
    fabric.barrier()


def make_stepper(run: Run, fabric: Fabric) -> Step:
    """Make the run's networks ready to learn in this process; lend what takes a step."""
    net, optimizer = fabric.setup(supervised(run.net), run.optimizer)
    net.train()
    adversary, clip, grown = run.adversary, run.recipe.clip, run.progress.grown
    if adversary is None:
        return lambda batch, alpha: pixel_step(
            fabric, net, optimizer, batch, 1.0 if batch.scale in grown else alpha, clip
        )
    adversary.set_up(fabric)
    parts = fabric, net, optimizer, adversary
    return lambda batch, alpha: adversarial_step(*parts, batch, alpha, batch.scale in grown, clip)


def _leave_out(run: Run, error: DivergedError, may_skip: bool, speaks: bool) -> None:
    """Count a step that diverged, or raise `error` with the last good state in place."""
    run.progress.left_out += 1
    never_good = run.finished and run.progress.left_out == run.progress.step
    if not may_skip or run.progress.left_out > MOST_LEFT_OUT or never_good:
        if speaks:
            run.retreat()
        raise error
    run.progress.skipped += 1


def _collapse(run: Run, result: StepResult) -> str:
    """Why the run is to end, once D was of no use for too many steps of a scale; else empty."""
    if run.adversary is None:
        return ""
    patience, scale = run.adversary.settings.collapse_after, str(result.scale)
    useless = 0 if is_of_use(result) else run.progress.useless.get(scale, 0) + 1
    run.progress.useless[scale] = useless
    if useless < patience:
        return ""
    real, fake = result.health["d_real"], result.health["d_fake"]
    return (
        f"step {run.progress.step}: the discriminator has taught nothing for {patience} "
        f"steps of ×{scale} (D(r) {real:.2f}, D(r̂) {fake:.2f}); change "
        "adversarial.learning_rate or adversarial.gan and start in another folder"
    )


def _wants_sheet(run: Run) -> bool:
    return run.adversary is not None and _is_due(run, run.adversary.settings.sheet_every)


def _is_due(run: Run, every: int) -> bool:
    return run.progress.step % every == 0 or run.finished


def _any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether `flag` is set in any process."""
    if fabric.world_size == 1:
        return flag
    flags = cast(Tensor, fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum"))
    return flags.item() > 0


def _score(
    run: Run, validate: Validate, scales: tuple[Scale, ...], log: RunLog, observer: Observer
) -> None:
    run.save()
    psnr = validate(run, scales)
    best = _keep_if_best(run, psnr)
    numbers = {f"psnr_x{scale}": value for scale, value in psnr.items()}
    seconds = {"seconds": run.progress.seconds}
    log.write("validation", run.progress.step, seconds | numbers)
    observer.validated(run.progress.step, psnr, best)


def _keep_if_best(run: Run, psnr: dict[Scale, float]) -> bool:
    """Export the averaged weights if they are the best so far; more scales beat fewer.

    A generator with an adversary has no best: what it learns costs PSNR.
    """
    score = (len(psnr), sum(psnr.values()) / len(psnr))
    if run.adversary is not None or score <= run.progress.best:
        return False
    run.progress.best = score
    run.export("best")
    return True

"""The training loop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from statistics import fmean
from typing import Protocol

import torch
from lightning_fabric import Fabric

from prosr.data.patches import Batch, prepared
from prosr.errors import DataError, ImageError, ProSRError
from prosr.evaluation.scoring import ScoringStoppedError, score
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.memory import default_memory
from prosr.inference.upscaler import Upscaler
from prosr.nets.laplacian import LaplacianPyramid
from prosr.scales import Scale
from prosr.training.adversarial import adversarial_step, is_useful
from prosr.training.curriculum import ema_decay_at, learning_rate_at, opened_at, stage_at
from prosr.training.log import RunLog, draw_samples
from prosr.training.objectives import (
    DivergedError,
    Learner,
    StepResult,
    all_mean,
    pixel_step,
    update_average,
)
from prosr.training.run import Run
from prosr.training.session import DEGRADED, PROTOCOL, Session

Check = Callable[[], object]

MOST_SKIPPED = 100
"""Number of consecutive steps that may be skipped, but never all of a run; one more ends the
run."""


class Observer(Protocol):
    """Gets the events of a run, for example to show its progress."""

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        """A step was taken with learning rate `rate`."""

    def skipped(self, step: int, reason: str) -> None:
        """A step diverged and was skipped."""

    def validated(self, step: int, protocol: str, psnr: dict[Scale, float], best: bool) -> None:
        """The averaged weights were scored by `protocol`: PSNR in dB for each open scale."""


def train(
    session: Session, observer: Observer, should_stop: Check, interrupted: Check = lambda: False
) -> None:
    """Train from the run's step to the recipe's last, or until `should_stop` in any process.

    If `interrupted` becomes true, a validation ends with the picture that it is at.
    Saves the state before it returns. A step that diverges raises `DivergedError`, or is skipped
    and counted with `skip_nonfinite`. A discriminator that is useless for too long raises
    `DivergedError` too. Raises what `named_failures` raises. The first process logs, scores, draws
    and saves.
    """
    run, fabric = session.run, session.fabric
    recipe, progress, is_first = run.recipe, run.progress, fabric.is_global_zero
    steps = range(progress.step, recipe.steps)
    take_step = make_stepper(run, fabric)
    unlogged: list[StepResult] = []
    saved = clock = time.monotonic()
    log = RunLog(run.folder, progress.step) if is_first else None
    with named_failures(fabric.world_size), closing(log) if log else nullcontext():
        _validate(session, log, observer, interrupted)
        for batch in prepared(session.sampler, steps, session.job.workers):
            stage, rate = stage_at(batch.step, recipe), learning_rate_at(batch.step, recipe)
            run.set_rate(rate)
            run.open_scales(opened_at(batch.step, recipe))
            progress.step = batch.step + 1
            collapse = ""
            try:
                result = take_step(batch, stage.alpha_of(batch.scale))
            except DivergedError as error:
                progress.skipped_in_a_row += 1
                most = min(MOST_SKIPPED, recipe.steps - 1)
                if not session.job.skip_nonfinite or progress.skipped_in_a_row > most:
                    raise
                progress.skipped += 1
                observer.skipped(progress.step, str(error))
            else:
                progress.skipped_in_a_row = 0
                update_average(run.average, run.net, ema_decay_at(batch.step, recipe))
                unlogged.append(result)
                collapse = _collapse(run, result)
                observer.stepped(progress.step, result, rate)
            if progress.step % recipe.log_every == 0 or collapse:
                numbers = {"rate": rate, "alpha": stage.alpha, "skipped": progress.skipped}
                if log:
                    log.write("train", progress.step, numbers | _means(unlogged))
                unlogged.clear()
            if collapse:
                raise DivergedError(collapse)
            progress.seconds += time.monotonic() - clock
            _validate(session, log, observer, interrupted)
            clock = time.monotonic()
            if all_mean(fabric, torch.tensor(float(bool(should_stop())))) > 0:
                break
            if is_first and time.monotonic() - saved > 60 * recipe.save_minutes:
                run.save()
                saved = time.monotonic()
        if is_first:
            run.save()
        fabric.barrier()


@contextmanager
def named_failures(processes: int) -> Iterator[None]:
    """Name the process that failed and the remedy, in one line.

    Raises `DataError` if a process that prepares batches was killed or has read a bad file,
    and `ProSRError` if another of the `processes` that train has ended.
    """
    resume = "the last save is complete: run the same command to resume"
    killed = DataError(
        "a process that prepares batches was killed, most likely because memory ran out; "
        f"{resume}, with fewer --workers if it happens again"
    )
    try:
        yield
    except (DataError, ImageError) as error:
        # An error of a data worker contains its traceback; the last line is the message.
        *traceback, line = str(error).strip().splitlines()
        raise type(error)(line.partition("Error: ")[2] if traceback else line) from error
    except (ConnectionError, EOFError) as error:
        # The worker was killed while it sent a batch.
        raise killed from error
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise killed from error
        lost = re.search(r"gloo|nccl|connection (closed|reset|refused)", str(error), re.IGNORECASE)
        if processes > 1 and lost:
            raise ProSRError(f"another training process has ended; {resume}") from error
        raise


def make_stepper(run: Run, fabric: Fabric) -> Callable[[Batch, float], StepResult]:
    """Prepare the run's networks for training in this process.

    Returns a function that trains on a batch, with the α of its scale.
    """
    net, optimizer = fabric.setup(run.net, run.optimizer)
    if isinstance(run.net, LaplacianPyramid):
        net.mark_forward_method("estimates")
    net.train()
    learner, pretrained = Learner(fabric, net, optimizer, run.recipe.clip), run.progress.pretrained
    if run.adversary is None:
        return lambda batch, alpha: pixel_step(
            learner, batch, 1.0 if batch.scale in pretrained else alpha, run.recipe.norm
        )
    adversary = run.adversary
    judge, its_optimizer = fabric.setup(adversary.net, adversary.optimizer)
    judge.train()
    discriminator = Learner(fabric, judge, its_optimizer)
    return lambda batch, alpha: adversarial_step(
        learner, discriminator, adversary, batch, alpha, batch.scale in pretrained
    )


def _means(results: Sequence[StepResult]) -> dict[str, float]:
    """Means of the numbers of some steps, for each scale."""
    means = {}
    for scale in sorted({result.scale for result in results}):
        ours = [result for result in results if result.scale == scale]
        means[f"loss_x{scale}"] = fmean(result.loss for result in ours)
        means[f"gradient_x{scale}"] = fmean(result.gradient_norm for result in ours)
        for name in dict.fromkeys(name for result in ours for name in result.health):
            means[f"{name}_x{scale}"] = fmean(r.health[name] for r in ours if name in r.health)
    return means


def _collapse(run: Run, result: StepResult) -> str:
    """The reason to end the run if the discriminator was useless for too long, else empty."""
    if run.adversary is None:
        return ""
    patience, scale = run.adversary.settings.collapse_after, result.scale
    useless = 0 if is_useful(result) else run.progress.useless.get(scale, 0) + 1
    run.progress.useless[scale] = useless
    if useless < patience:
        return ""
    real, fake = result.health["d_real"], result.health["d_fake"]
    return (
        f"step {run.progress.step}: the discriminator has taught nothing for {patience} "
        f"steps of ×{scale} (D(r) {real:.2f}, D(r̂) {fake:.2f}); change "
        "adversarial.learning_rate or adversarial.gan and start in another folder"
    )


def _validate(session: Session, log: RunLog | None, observer: Observer, interrupted: Check) -> None:
    """Score and draw samples if it is time to: at multiples of a step, and at the end."""
    run, benchmark, step = session.run, session.job.validation, session.run.progress.step
    if log is None or benchmark is None or step == 0:
        return
    due = run.finished or step % run.recipe.validate_every == 0
    if due and run.progress.validated != step:
        run.save()
        engine = TorchEngine(run.average, default_memory())
        upscaler = Upscaler(engine, run.recipe.model, sha256="")
        protocol = PROTOCOL if run.recipe.degradation.kind == "bicubic" else DEGRADED
        scored = partial(score, protocol=protocol, psnr_only=True, progress=interrupted)
        # A validation that ends early is repeated when the run resumes.
        with suppress(ScoringStoppedError):
            psnr = {scale: scored(upscaler, benchmark, scale).psnr for scale in run.scales}
            best, run.progress.validated = run.keep_if_best(psnr), step
            numbers = {f"psnr_x{scale}": value for scale, value in psnr.items()}
            log.write("validation", step, {"seconds": run.progress.seconds} | numbers)
            observer.validated(step, protocol.name, psnr, best)
    if run.adversary and (run.finished or step % run.adversary.settings.sheet_every == 0):
        log.draw("samples", step, draw_samples(run, benchmark, run.scales[-1]))

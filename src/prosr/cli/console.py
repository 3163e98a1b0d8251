"""The display of a run in training, and stopping it by signals."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from prosr.cli.signals import PATIENCE, heard

if TYPE_CHECKING:
    from prosr.scales import Scale
    from prosr.training.objectives import StepResult
    from prosr.training.session import Session, TrainingJob


class TrainingDisplay(Progress):
    """A progress bar with the learning rate, the smoothed loss of each scale and the time left.

    If the output is not a terminal, a line every `line_every` steps instead.
    """

    def __init__(self, steps: int, quiet: bool, line_every: int) -> None:
        console = Console(quiet=quiet)
        super().__init__(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            "{task.fields[state]}",
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._steps = steps
        self._line_every = line_every
        self._losses: dict[int, float] = {}
        self._bar = self.add_task("opening", total=None, state="")

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def opening(self, done: int, total: int) -> None:
        """Show how many pictures have been opened."""
        self.update(self._bar, completed=done, total=total)

    def begin(self, step: int) -> None:
        """Begin to count steps, from `step`."""
        self.remove_task(self._bar)
        self._bar = self.add_task("training", total=self._steps, completed=step, state="starting")

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        """Show a step: the loss of Eq. 5 in 8-bit levels, or of Eq. 4 with the scores of D."""
        before = self._losses.get(result.scale, result.loss)
        self._losses[result.scale] = 0.95 * before + 0.05 * result.loss
        losses = "  ".join(f"×{s} {loss:.3f}" for s, loss in sorted(self._losses.items()))
        state = f"rate {rate:.2e}  loss {losses}"
        if result.health:
            real, fake = result.health["d_real"], result.health["d_fake"]
            state += f"  D(r) {real:.2f}  D(r̂) {fake:.2f}"
        self.update(self._bar, completed=step, state=state)
        if not self.console.is_terminal and step % self._line_every == 0:
            self.note(f"step {step}/{self._steps}  {state}")

    def skipped(self, step: int, reason: str) -> None:
        """Print why a step was skipped."""
        self.note(f"skipped: {reason}")

    def validated(self, step: int, protocol: str, psnr: dict[Scale, float], best: bool) -> None:
        """Print the scores of a validation."""
        scores = "  ".join(f"×{scale} {value:.3f}" for scale, value in psnr.items())
        mark = "  (best so far)" if best else ""
        self.note(f"step {step}: validation, protocol {protocol}: {scores} dB{mark}")


@contextmanager
def watch(
    job: TrainingJob, quiet: bool = False, lines: int | None = None
) -> Iterator[tuple[Session, TrainingDisplay]]:
    """Open a run, print its notes, and show its progress inside the block.

    If the output is not a terminal, in `lines` lines, by default one for every 100 steps.
    """
    from prosr.training.session import prepare

    steps = job.recipe.steps
    with TrainingDisplay(steps, quiet, max(1, steps // lines) if lines else 100) as display:
        session = prepare(job, display.opening)
        for note in session.notes:
            display.note(note)
        display.begin(session.run.progress.step)
        yield session, display


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the first of SIGINT, SIGTERM and SIGHUP received, or 0.

    A second one raises `KeyboardInterrupt`, but not within `PATIENCE` of the first: senders
    often send two.
    """
    received: list[tuple[float, int]] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append((monotonic(), number))
        if received[-1][0] - received[0][0] > PATIENCE:
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, remember) for number in heard()}
    try:
        yield lambda: received[0][1] if received else 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_after(minutes: float | None, interrupted: Callable[[], object]) -> Callable[[], bool]:
    """Return a function that is true after `minutes` or once `interrupted` is."""
    end = monotonic() + 60 * minutes if minutes is not None else inf
    return lambda: bool(interrupted()) or monotonic() >= end

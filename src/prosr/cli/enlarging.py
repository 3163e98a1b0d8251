"""What `prosr upscale` shows: progress while it runs, and at the end what became of what."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from prosr.images import shown
from prosr.inference.memory import peak_memory

if TYPE_CHECKING:
    from prosr.inference.estimates import Estimate
    from prosr.inference.upscaler import Progress as TileProgress
    from prosr.inference.upscaler import Work
    from prosr.jobs.batch import Job, Kind, Outcome

_LISTED = 40
"""Successes that the closing table names; what was made with a word to say of it always is."""


class BatchDisplay:
    """A bar for all pictures and one for the tiles of the present one; then a table.

    The bars are on standard error and leave nothing behind. With `quiet` only failures
    are shown, on standard error. Interrupted, it still says what has been done.
    """

    def __init__(self, pictures: int, *, quiet: bool) -> None:
        self.outcomes: list[Outcome] = []
        self._pictures, self._quiet = pictures, quiet
        errors = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        self._bars = Progress(
            *columns,
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=quiet or not errors.is_terminal,
        )
        self._all: TaskID | None = None
        if pictures > 1:
            self._all = self._bars.add_task(f"{pictures} pictures", total=pictures)
        self._tiles = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> BatchDisplay:
        self._bars.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._bars.stop()
        if any(raised) and self.outcomes:
            self.close()

    def starting(self, job: Job) -> TileProgress:
        """Show the picture that comes next; gives what to tell of its tiles."""
        name = shown(job.source.with_name(job.source.name[:60]))
        self._bars.reset(self._tiles, description=name, visible=True)

        def tell(done: int, total: int) -> None:
            self._bars.update(self._tiles, completed=done, total=total)

        return tell

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self._all is not None:
            self._bars.advance(self._all)

    def close(self, work: Work | None = None) -> None:
        """Say what was made, skipped and failed, and why; and by which `work`."""
        console = Console(stderr=self._quiet)
        counts = Counter(outcome.kind for outcome in self.outcomes)
        listed = more = 0
        for outcome in self.outcomes:
            if outcome.kind == "failed":
                console.print(Text(f"failed   {outcome.reason}", style="red"), soft_wrap=True)
                continue
            listed += 1
            unusual = outcome.kind == "made" and outcome.reason
            if listed > _LISTED and not unusual:
                more += 1
            elif not self._quiet:
                what = _describe(outcome.estimate) if outcome.estimate else outcome.reason
                note = f" ({what})" if what else ""
                line = f"{outcome.kind:8} {shown(outcome.job.target)}{note}"
                console.print(Text(line), soft_wrap=True)
        if self._quiet:
            return
        if more:
            console.print(f"…        and {more} more")
        planned = [outcome.estimate for outcome in self.outcomes if outcome.estimate]
        kinds: tuple[Kind, ...] = ("planned" if planned else "made", "skipped", "failed")
        summary = [f"{counts[kind]} {kind}" for kind in kinds]
        if left := self._pictures - len(self.outcomes):
            summary.append(f"{left} not begun")
        if planned:
            seconds = sum(estimate.seconds for estimate in planned)
            summary.append(f"{_time(seconds)} in all, nothing written")
        console.print(", ".join(summary), highlight=False)
        if work is not None and counts["made"]:
            peak = peak_memory()
            memory = f", {peak / 1e9:.2f} GB of memory at most" if peak else ""
            console.print(f"{work}{memory}", highlight=False)


def _describe(estimate: Estimate) -> str:
    size = f"{estimate.width}×{estimate.height} pixels"
    parts = f"{estimate.tiles} {estimate.unit}{'s' * (estimate.tiles > 1)}"
    work = f"{parts}, {_time(estimate.seconds)}"
    return f"{size}, {work}, {estimate.memory / 1e9:.2f} GB of memory"


def _time(seconds: float) -> str:
    """As people say it, in two figures at least: "about 43 s", "about 12 min", "about 5 h"."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"about {_figures(seconds / unit)} {name}"
    return f"about {_figures(seconds)} s" if seconds >= 1 else "less than 1 s"


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"

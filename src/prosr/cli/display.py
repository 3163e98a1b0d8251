"""The output of `prosr upscale`: progress bars, then the outcome of each file."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

import typer

from prosr.images.loading import shown
from prosr.inference.memory import peak_memory

if TYPE_CHECKING:
    from prosr.inference.estimates import Estimate
    from prosr.inference.upscaler import Progress, Work
    from prosr.jobs import Job, Outcome

_LISTED = 40
"""Number of successes in the closing list. It also lists all others that have a remark."""


class BatchDisplay:
    """Shows a bar for all files and one for the tiles of the current file, then the outcomes.

    The bars are on standard error, if that is a terminal, and disappear at the end. With
    `quiet` only failures are shown, on standard error. After an interruption the outcomes so
    far are shown.
    """

    def __init__(self, files: int, *, quiet: bool) -> None:
        self.outcomes: list[Outcome] = []
        self._files, self._quiet = files, quiet
        self._bars = None
        if not quiet and sys.stderr.isatty():
            # Imported only if bars are shown: the import takes as long as reading a small picture.
            from prosr.cli.tables import open_bars

            self._bars = open_bars()
            self._all = self._bars.add_task(f"{files} files", total=files, visible=files > 1)
            self._tiles = self._bars.add_task("", total=None, visible=False)
            self._bars.start()

    def __enter__(self) -> BatchDisplay:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bars:
            self._bars.stop()
        if any(raised) and self.outcomes:
            self.close()

    def starting(self, job: Job) -> Progress | None:
        """Show the next file; returns a callback for its tiles."""
        if (bars := self._bars) is None:
            return None
        name = shown(job.source.with_name(job.source.name[:60]))
        bars.reset(self._tiles, description=name, visible=True)

        def tell(done: int, total: int) -> None:
            bars.update(self._tiles, completed=done, total=total)

        return tell

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self._bars:
            self._bars.advance(self._all)

    def close(self, work: Work | None = None) -> None:
        """Print all outcomes, how many there are of each kind, and the speed of the `work`."""
        listed = more = 0
        for outcome in self.outcomes:
            if outcome.status == "failed":
                line = f"failed   {outcome.reason}"
                plain = bool(os.environ.get("NO_COLOR"))
                typer.echo(line if plain else typer.style(line, fg="red"), err=self._quiet)
                continue
            listed += 1
            told = outcome.notes or (outcome.status == "made" and outcome.reason)
            if listed > _LISTED and not told:
                more += 1
            elif not self._quiet:
                said = _describe(outcome.estimate) if outcome.estimate else outcome.reason
                note = "; ".join(filter(None, (outcome.choice, said)))
                line = f"{outcome.status:8} {shown(outcome.job.target)}"
                typer.echo(f"{line} ({note})" if note else line)
                for note in outcome.notes:
                    typer.echo(f"note     {note}")
        if self._quiet:
            return
        if more:
            typer.echo(f"…        and {more} more")
        typer.echo(self._summary())
        if work is not None and work.pixels and not any(o.estimate for o in self.outcomes):
            peak = peak_memory()
            typer.echo(f"{work}, {peak / 1e9:.2f} GB of memory at most" if peak else str(work))

    def _summary(self) -> str:
        counts = Counter(outcome.status for outcome in self.outcomes)
        planned = [outcome.estimate for outcome in self.outcomes if outcome.estimate]
        parts = [f"{counts['planned']} planned" if planned else f"{counts['made']} made"]
        parts += [f"{counts['skipped']} skipped", f"{counts['failed']} failed"]
        choices = Counter(one.choice.partition(",")[0] for one in self.outcomes if one.choice)
        parts += [f"{model} for {count}" for model, count in choices.items()] * (len(choices) > 1)
        if left := self._files - len(self.outcomes):
            parts.append(f"{left} not started")
        if planned:
            seconds = sum(estimate.seconds for estimate in planned)
            parts.append(f"{_time(seconds)} in total, nothing written")
        return ", ".join(parts)


def _describe(estimate: Estimate) -> str:
    parts = f"{estimate.tiles} {estimate.unit}{'s' * (estimate.tiles > 1)}"
    return (
        f"{estimate.width}×{estimate.height} pixels, {parts}, {_time(estimate.seconds)}, "
        f"{estimate.memory / 1e9:.2f} GB of memory"
    )


def _time(seconds: float) -> str:
    """A duration in at least two digits: "about 43 s", "about 12 min", "about 5.2 h"."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"about {_digits(seconds / unit)} {name}"
    return f"about {_digits(seconds)} s" if seconds >= 1 else "less than 1 s"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"

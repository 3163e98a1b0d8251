"""Options and work that `prosr ablate` and `prosr compare` share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prosr.lab.comparison import Comparison
    from prosr.lab.outcome import ComparisonOutcome

# fmt: off
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN.toml", help="What to compare: cells, seeds and their budget.")]
Validation = Annotated[Path, typer.Option(metavar="DIR", help="Folder of pictures for the curves over training time.")]
RunFolder = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; the same command resumes them.")]
ResultsFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for tables, figures and scores (default: RUN/results).")]
Beside = Annotated[list[Path] | None, typer.Option(metavar="FILE...", help="Results files with scores of other weights to add to the table.")]
Speeds = Annotated[Path | None, typer.Option(metavar="FILE", help="Output of `prosr bench models`, for the plot of quality against time.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="List the runs and start nothing.")]
# fmt: on


def run_comparison(
    comparison: Comparison,
    report: Callable[[ComparisonOutcome], None],
    max_minutes: float | None,
    dry_run: bool,
) -> None:
    """Train and score the missing runs, or only list them."""
    from prosr.cli.console import stop_after, stop_on_signals, watch
    from prosr.files import only_here
    from prosr.lab.comparison import compare, describe

    if dry_run:
        for line in describe(comparison):
            typer.echo(line)
        return
    with only_here(comparison.folder), stop_on_signals() as interrupted:
        stop = stop_after(max_minutes, interrupted)
        if compare(comparison, partial(watch, lines=5), typer.echo, stop, report):
            typer.echo(f"finished: {comparison.output}")
            return
        typer.echo("stopped; the same command resumes")
        if number := interrupted():
            raise typer.Exit(128 + number)

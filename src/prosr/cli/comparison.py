"""`prosr ablate` and `prosr compare`: train what a plan lists, for the paper's tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prosr.cli.options import Data, MaxMinutes, Sets, Workers

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


def ablate(
    plan: PlanFile,
    data: Data,
    validation: Validation,
    sets: Sets,
    run: RunFolder,
    output: ResultsFolder = None,
    max_minutes: MaxMinutes = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Train the cells of PLAN.toml with each seed, and write Tables 1, 2, 3 and Figure 4.

    The tables are updated after every run, with the seeds finished so far. Ctrl-C saves and
    stops; the same command resumes.
    """
    from prosr.lab.ablation import check_cells
    from prosr.lab.comparison import open_comparison
    from prosr.lab.plan import load_plan
    from prosr.lab.reports import write_ablation

    cells = load_plan(plan)
    check_cells(cells)
    comparison = open_comparison(cells, data, validation, sets, run, output, workers)
    report = partial(write_ablation, folder=comparison.output)
    _run(comparison, report, max_minutes, dry_run)


def compare(
    plan: PlanFile,
    data: Data,
    validation: Validation,
    sets: Sets,
    run: RunFolder,
    output: ResultsFolder = None,
    beside: Beside = None,
    speeds: Speeds = None,
    max_minutes: MaxMinutes = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Train the systems of PLAN.toml, and compare them with published and other scores.

    Cells are named after their system, and after its scale if the network has only one, as in
    "edsr-x4". The table and plots are updated after every run. Ctrl-C saves and stops; the
    same command resumes.
    """
    from prosr.evaluation.results import read_results
    from prosr.lab.comparison import open_comparison
    from prosr.lab.measurements import read_rows
    from prosr.lab.models import speeds as model_speeds
    from prosr.lab.plan import load_plan
    from prosr.lab.reports import write_table_4

    took = model_speeds(read_rows(speeds)) if speeds else {}
    rows = [row for path in beside or () for row in read_results(path)]
    comparison = open_comparison(load_plan(plan), data, validation, sets, run, output, workers)
    report = partial(write_table_4, beside=rows, speeds=took, folder=comparison.output)
    _run(comparison, report, max_minutes, dry_run)


def _run(
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

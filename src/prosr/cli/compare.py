"""`prosr compare`: systems trained on the same pictures for the same time, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.comparing import DryRun, PlanFile, RunFolder, Validation
from prosr.cli.options import Data, MaxMinutes, Sets, Workers


def compare(
    plan: PlanFile,
    data: Data,
    validation: Validation,
    sets: Sets,
    run: RunFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the table, plots and scores (default: RUN/results)."
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE...", help="Results files with scores of other weights to show beside."
        ),
    ] = None,
    speeds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What `prosr bench models` measured, for the plot against time."
        ),
    ] = None,
    max_minutes: MaxMinutes = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Train the systems of PLAN.toml, and set them beside published and other scores.

    A cell is called after its system and, if its net is for one scale, that scale, as in
    "edsr-x4". The table and plots are written after every run. Ctrl-C saves and stops; the
    same command goes on.
    """
    from prosr.cli.comparing import carry_out, open_comparison
    from prosr.evaluation.results import read_results
    from prosr.lab.models import speeds as of_models
    from prosr.lab.plan import load_plan
    from prosr.lab.records import read_rows
    from prosr.lab.reports import write_table_4

    took = of_models(read_rows(speeds)) if speeds else {}
    rows = [row for path in beside or () for row in read_results(path)]
    comparison = open_comparison(load_plan(plan), data, validation, sets, run, output, workers)
    carry_out(
        comparison,
        lambda outcome: write_table_4(outcome, rows, took, comparison.output),
        max_minutes,
        dry_run,
    )

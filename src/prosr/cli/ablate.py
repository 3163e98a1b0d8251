"""`prosr ablate`: the paper's Tables 1, 2 and 3 and Figure 4, at a budget of minutes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.comparing import DryRun, PlanFile, RunFolder, Validation
from prosr.cli.options import Data, MaxMinutes, Sets, Workers


def ablate(
    plan: PlanFile,
    data: Data,
    validation: Validation,
    sets: Sets,
    run: RunFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for tables, figure and scores (default: RUN/results)."
        ),
    ] = None,
    max_minutes: MaxMinutes = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Train the cells of PLAN.toml with each seed, and write Tables 1, 2, 3 and Figure 4.

    The tables are written after every run, with as many seeds as there are by then. Ctrl-C
    saves and stops; the same command goes on.
    """
    from prosr.cli.comparing import carry_out, open_comparison
    from prosr.lab.ablation import check_cells
    from prosr.lab.plan import load_plan
    from prosr.lab.reports import write_ablation

    settled = load_plan(plan)
    check_cells(settled)
    comparison = open_comparison(settled, data, validation, sets, run, output, workers)
    report = partial(write_ablation, folder=comparison.output)
    carry_out(comparison, report, max_minutes, dry_run)

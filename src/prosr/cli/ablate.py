"""`prosr ablate`: train for the paper's Tables 1, 2 and 3 and Figure 4."""

from __future__ import annotations

from functools import partial

from prosr.cli.comparison import (
    DryRun,
    PlanFile,
    ResultsFolder,
    RunFolder,
    Validation,
    run_comparison,
)
from prosr.cli.options import Data, MaxMinutes, Sets, Workers


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
    run_comparison(comparison, report, max_minutes, dry_run)

"""`prosr compare`: train systems on the same pictures for the same time, for Table 4."""

from __future__ import annotations

from functools import partial

from prosr.cli.comparison import (
    Beside,
    DryRun,
    PlanFile,
    ResultsFolder,
    RunFolder,
    Speeds,
    Validation,
    run_comparison,
)
from prosr.cli.options import Data, MaxMinutes, Sets, Workers


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
    run_comparison(comparison, report, max_minutes, dry_run)

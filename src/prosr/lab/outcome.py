"""Records and scores of trained runs, from which every table is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pydantic import TypeAdapter

from prosr.config import Recipe
from prosr.evaluation.results import ScoreRow, read_json, read_results
from prosr.files import write_rows
from prosr.layouts import Frozen

RUNS, SCORES = "runs.json", "scores.json"


def run_name(cell: str, seed: int) -> str:
    """The name of a run: its folder, and its model in scores."""
    return f"{cell}/seed-{seed}"


class ValidationPoint(Frozen):
    """One validation: PSNR in dB of each open scale after `seconds` of training."""

    step: int
    seconds: float
    psnr: Mapping[int, float]


class RunRecord(Frozen):
    """A finished run of a cell.

    `seconds` is the time of its steps without validation. If the steps were computed from minutes,
    each step counts as its measured time. `skipped` steps had a loss or gradient that was not
    finite. `parameters` counts those that a scale uses. `precision` is that of training. `weights`
    is the SHA-256 of the averaged weights after the last step.
    """

    cell: str
    seed: int
    recipe: Recipe
    seconds: float
    skipped: int
    precision: str | None = None
    parameters: dict[int, int]
    weights: str
    validation: tuple[ValidationPoint, ...]

    @property
    def name(self) -> str:
        return run_name(self.cell, self.seed)


_RUNS = TypeAdapter(tuple[RunRecord, ...])


@dataclass(frozen=True)
class ComparisonOutcome:
    """Finished runs, and the scores of their final averaged weights."""

    runs: tuple[RunRecord, ...]
    rows: tuple[ScoreRow, ...]

    def run(self, cell: str) -> RunRecord | None:
        """Any of the cell's runs, for values that all of them share."""
        return next((run for run in self.runs if run.cell == cell), None)

    def seeds(self, cell: str) -> tuple[int, ...]:
        """The seeds of the cell's finished runs, ascending."""
        return tuple(sorted(run.seed for run in self.runs if run.cell == cell))

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets with scores, the smallest first."""
        sizes = {row.set: len(row.pictures) for row in self.rows}
        return tuple(sorted(sizes, key=lambda name: (sizes[name], name)))

    def of(self, cell: str, seed: int, scale: int) -> dict[str, ScoreRow]:
        """One run's scores at a scale, by set."""
        name = run_name(cell, seed)
        return {row.set: row for row in self.rows if row.model == name and row.scale == scale}

    def psnr(self, cell: str, scale: int, sets: Sequence[str]) -> dict[int, float]:
        """PSNR in dB by seed, for the seeds that have scores on all of `sets`.

        Over several sets it is the mean over all of their pictures, as in the paper's Table 2.
        """
        found = {}
        for seed in self.seeds(cell):
            rows = self.of(cell, seed, scale)
            if sets and all(name in rows for name in sets):
                found[seed] = fmean(p.psnr for name in sets for p in rows[name].pictures)
        return found


def read_outcome(folder: Path) -> ComparisonOutcome:
    """Read the outcome stored in `folder`, empty if there is none yet."""
    path = folder / RUNS
    runs = read_json(path, _RUNS, "a file of runs") if path.exists() else ()
    scores = folder / SCORES
    rows = read_results(scores) if scores.exists() else ()
    names = {run.name: run.weights for run in runs}
    return ComparisonOutcome(
        runs, tuple(row for row in rows if names.get(row.model) == row.weights)
    )


def save_run(folder: Path, run: RunRecord) -> None:
    """Add a finished run to those stored in `folder`; it replaces one of its cell and seed."""
    runs = {(one.cell, one.seed): one for one in read_outcome(folder).runs}
    runs[run.cell, run.seed] = run
    write_rows(folder / RUNS, (one.model_dump(mode="json") for one in runs.values()))

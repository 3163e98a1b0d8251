"""What trained runs gave: the records and scores that every table is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pydantic import TypeAdapter, ValidationError

from prosr.config import Recipe
from prosr.errors import ConfigError
from prosr.evaluation.results import Row, read_results
from prosr.files import write_rows
from prosr.layouts import Frozen

RUNS, SCORES = "runs.json", "scores.json"


class Point(Frozen):
    """One validation: PSNR in dB of each open scale after `seconds` of training."""

    step: int
    seconds: float
    psnr: Mapping[int, float]


class Trained(Frozen):
    """A finished run of a cell. `seconds` are those of its steps, without validation.

    Where minutes became steps, a step counts as long as it took when it was timed for that.
    `skipped` steps were left out because their loss or gradient was not finite. `parameters`
    counts those that a scale uses, `precision` is what it was trained in, `weights` is the
    SHA-256 of the averaged weights after the last step.
    """

    cell: str
    seed: int
    recipe: Recipe
    seconds: float
    skipped: int
    precision: str | None = None
    parameters: dict[int, int]
    weights: str
    validation: tuple[Point, ...]

    @property
    def name(self) -> str:
        """What the run's scores are called."""
        return f"{self.cell}/seed-{self.seed}"


_RUNS = TypeAdapter(tuple[Trained, ...])


@dataclass(frozen=True)
class Outcome:
    """Finished runs, and the scores of their last averaged weights."""

    runs: tuple[Trained, ...]
    rows: tuple[Row, ...]

    def run(self, cell: str) -> Trained | None:
        """One of the cell's runs, for what all of them share."""
        return next((run for run in self.runs if run.cell == cell), None)

    def seeds(self, cell: str) -> tuple[int, ...]:
        """The seeds of the cell's finished runs, rising."""
        return tuple(sorted(run.seed for run in self.runs if run.cell == cell))

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that were scored, the smallest first."""
        sizes = {row.set: len(row.pictures) for row in self.rows}
        return tuple(sorted(sizes, key=lambda name: (sizes[name], name)))

    def of(self, cell: str, seed: int, scale: int) -> dict[str, Row]:
        """One run's scores at a scale, for each set that has them."""
        name = f"{cell}/seed-{seed}"
        return {row.set: row for row in self.rows if row.model == name and row.scale == scale}

    def psnr(self, cell: str, scale: int, sets: Sequence[str]) -> dict[int, float]:
        """PSNR in dB for each seed that is scored on all of `sets`.

        Over several sets it is the mean of their pictures, as in the paper's Table 2.
        """
        found = {}
        for seed in self.seeds(cell):
            rows = self.of(cell, seed, scale)
            if sets and all(name in rows for name in sets):
                found[seed] = picture_mean([rows[name] for name in sets])
        return found


def picture_mean(rows: Sequence[Row]) -> float:
    """Mean PSNR in dB over the pictures of several sets."""
    return fmean(picture.psnr for row in rows for picture in row.pictures)


def read_outcome(folder: Path) -> Outcome:
    """What is stored in `folder`, empty if there is nothing yet."""
    path = folder / RUNS
    try:
        runs = _RUNS.validate_json(path.read_bytes()) if path.exists() else ()
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path} is not a file of runs; move it away") from error
    scores = folder / SCORES
    rows = read_results(scores) if scores.exists() else ()
    names = {run.name: run.weights for run in runs}
    return Outcome(runs, tuple(row for row in rows if names.get(row.model) == row.weights))


def save_run(folder: Path, run: Trained) -> None:
    """Add a finished run to those stored in `folder`, in place of an older one."""
    runs = {(one.cell, one.seed): one for one in read_outcome(folder).runs}
    runs[run.cell, run.seed] = run
    write_rows(folder / RUNS, (one.model_dump(mode="json") for one in runs.values()))

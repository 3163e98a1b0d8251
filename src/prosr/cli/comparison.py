"""Options and work that `prosr ablate` and `prosr compare` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prosr.cli.console import TrainingDisplay
    from prosr.lab.comparison import Comparison
    from prosr.lab.outcome import ComparisonOutcome
    from prosr.lab.plan import ComparisonPlan
    from prosr.training.session import Session

# fmt: off
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN.toml", help="What to compare: cells, seeds and their budget.")]
Validation = Annotated[Path, typer.Option(metavar="DIR", help="Folder of pictures for the curves over training time.")]
RunFolder = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; the same command resumes them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="List the runs and start nothing.")]
# fmt: on


def open_comparison(
    plan: ComparisonPlan,
    data: list[Path],
    validation: Path,
    sets: list[Path],
    run: Path,
    output: Path | None,
    workers: int,
) -> Comparison:
    """Open and check everything before hours of training."""
    from prosr.data.benchmarks import open_benchmark
    from prosr.evaluation.scoring import check_names
    from prosr.lab.comparison import Comparison

    benchmarks = [open_benchmark(folder) for folder in dict.fromkeys(sets)]
    check_names("sets", [benchmark.name for benchmark in benchmarks])
    return Comparison(
        plan=plan,
        data=data,
        validation=open_benchmark(validation),
        sets=benchmarks,
        folder=run,
        output=output or run / "results",
        workers=workers,
    )


def run_comparison(
    comparison: Comparison,
    report: Callable[[ComparisonOutcome], None],
    max_minutes: float | None,
    dry_run: bool,
) -> None:
    """Train and score what is missing, or only list it."""
    from prosr.cli.console import stop_after, stop_on_signals
    from prosr.files import only_here
    from prosr.lab.comparison import compare, describe

    if dry_run:
        for line in describe(comparison):
            typer.echo(line)
        return
    with only_here(comparison.folder), stop_on_signals() as interrupted:
        stop = stop_after(max_minutes, interrupted)
        if compare(comparison, ConsoleObserver(), stop, report):
            typer.echo(f"finished: {comparison.output}")
            return
        typer.echo("stopped; the same command resumes")
        if number := interrupted():
            raise typer.Exit(128 + number)


class ConsoleObserver:
    """Prints a line for each event, and a progress bar for the run in training."""

    def __init__(self) -> None:
        self._printed: set[str] = set()
        self._opened = False

    def note(self, line: str) -> None:
        """Print a line."""
        typer.echo(line)

    def opening(self, done: int, total: int) -> None:
        """Print the progress of the first run only; later runs find the pictures in the cache."""
        if not self._opened and done % 100 == 0:
            self.note(f"opening pictures: {done} of {total}")
        self._opened = self._opened or done == total

    @contextmanager
    def watching(self, session: Session) -> Iterator[TrainingDisplay]:
        """Show a run's progress, and its notes unless an earlier run had them."""
        from prosr.cli.console import TrainingDisplay

        run = session.run
        steps = run.recipe.steps
        with TrainingDisplay(steps, line_every=max(1, steps // 5)) as display:
            for line in session.notes:
                if line not in self._printed:
                    display.note(line)
                    self._printed.add(line)
            display.begin(run.progress.step)
            yield display

"""Train and score the runs of a plan one after another; resume where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import prosr
from prosr.checkpoints.finding import find
from prosr.data.benchmarks import Benchmark, open_benchmark
from prosr.errors import ConfigError, InferenceError, ProSRError
from prosr.evaluation.results import save_results
from prosr.evaluation.scoring import SCORING_MEMORY, ScoringStoppedError, check_names, score
from prosr.lab.budget import Stop, measure_budget, read_budgets, settled_steps
from prosr.lab.outcome import (
    SCORES,
    ComparisonOutcome,
    RunRecord,
    ValidationPoint,
    read_outcome,
    run_name,
    save_run,
)
from prosr.lab.plan import ComparisonPlan
from prosr.nets.build import build
from prosr.scales import Scale
from prosr.training.loop import Observer, train
from prosr.training.objectives import DivergedError
from prosr.training.session import PROTOCOL, Session, TrainingJob

LAST = "last.safetensors"

Note = Callable[[str], None]
"""Gets a line for each event."""

Watch = Callable[[TrainingJob], AbstractContextManager[tuple[Session, Observer]]]
"""Opens a run and shows it inside the `with` block."""


@dataclass(frozen=True)
class Comparison:
    """A plan and what its runs share: `folder` has the runs, `output` their records and scores.

    Raises `ConfigError` if a cell's file of features is missing, or if none of a cell's sets
    is among `sets`, and what `Benchmark.check` raises: all before hours of training.
    """

    plan: ComparisonPlan
    data: Sequence[Path]
    validation: Benchmark
    sets: Sequence[Benchmark]
    folder: Path
    output: Path
    workers: int = 1

    def __post_init__(self) -> None:
        cells = {cell: self.plan.recipe_of(cell, 1, 0) for cell in self.plan.cells}
        for cell, recipe in cells.items():
            if recipe.adversarial and not recipe.adversarial.file.is_file():
                raise ConfigError(
                    f"cells.{cell}: there is no {recipe.adversarial.file} here; the path is "
                    "relative to the current folder"
                )
            if not any(self.plan.is_scored_on(cell, one.name) for one in self.sets):
                names = ", ".join(one.name for one in self.sets)
                raise ConfigError(f"cells.{cell}: none of its sets is among {names}")
        scales = sorted({scale for recipe in cells.values() for scale in recipe.scales})
        for one in (self.validation, *self.sets):
            one.check(scales, PROTOCOL.smallest)

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Cells and seeds in the order of training: all cells with the first seed, and so on."""
        return [(cell, seed) for seed in self.plan.seeds for cell in self.plan.cells]

    def job(self, cell: str, seed: int, steps: int) -> TrainingJob:
        """The training of one run; steps that diverge are skipped instead of ending it."""
        first = self.plan.start_from(cell)
        return TrainingJob(
            recipe=self.plan.recipe_of(cell, steps, seed),
            data=self.data,
            folder=self.place(cell, seed),
            cache=self.folder / "cache",
            validation=self.validation.first(self.plan.validation_pictures),
            workers=self.workers,
            skip_nonfinite=True,
            start_from=self.place(first, seed) / LAST if first else None,
        )

    def place(self, cell: str, seed: int) -> Path:
        """The folder of a run."""
        return self.folder / run_name(cell, seed)


def open_comparison(
    plan: ComparisonPlan,
    data: Sequence[Path],
    validation: Path,
    sets: Sequence[Path],
    run: Path,
    output: Path | None,
    workers: int,
) -> Comparison:
    """Open and check everything before hours of training.

    Runs go into the folder `run`, results into `output` (by default "results" in it).
    """
    benchmarks = [open_benchmark(folder) for folder in dict.fromkeys(sets)]
    check_names(benchmark.name for benchmark in benchmarks)
    return Comparison(
        plan=plan,
        data=data,
        validation=open_benchmark(validation),
        sets=benchmarks,
        folder=run,
        output=output or run / "results",
        workers=workers,
    )


def compare(
    comparison: Comparison,
    watch: Watch,
    note: Note,
    stop: Stop,
    report: Callable[[ComparisonOutcome], None],
) -> bool:
    """Train and score all runs that are not finished; return whether all are finished now.

    The steps of all cells are timed before the first run, so that other programs on the
    machine slow all cells down alike. `note` gets a line for each event.

    `report` gets the outcome whenever it changes, and at least once. If `stop` returns True,
    the state is saved, and the same call resumes. A run that diverges or collapses ends alone,
    together with the runs that would start from it. After all others, `ProSRError` names them.
    Raises what training and scoring raise.
    """
    reported: ComparisonOutcome | None = None
    failed: list[str] = []
    steps_of: dict[str, int] = {}
    for cell in comparison.plan.cells:
        steps = _steps(comparison, cell, note, stop)
        if steps is None:
            return False
        steps_of[cell] = steps
    for number, (cell, seed) in enumerate(comparison.runs, 1):
        if stop():
            return False
        name, first = run_name(cell, seed), comparison.plan.start_from(cell)
        if first and run_name(first, seed) in failed:
            failed.append(name)
            continue
        job = comparison.job(cell, seed, steps_of[cell])
        try:
            if not _train_and_score(comparison, number, job, watch, note, stop):
                return False
        except (DivergedError, InferenceError) as error:
            note(f"{name} failed: {error}")
            failed.append(name)
            continue
        outcome = current(comparison)
        if outcome != reported:
            report(outcome)
        reported = outcome
    if failed:
        raise ProSRError(
            f"{len(failed)} of {len(comparison.runs)} runs could not be trained: "
            f"{', '.join(failed)}; see the remedy in each failure above"
        )
    return True


def _train_and_score(
    comparison: Comparison, number: int, job: TrainingJob, watch: Watch, note: Note, stop: Stop
) -> bool:
    """Complete run `number`; return False if it was stopped."""
    cell, seed = comparison.runs[number - 1]
    record = _finished(comparison, cell, seed)
    if record is None:
        place = f"seed {seed} ({number} of {len(comparison.runs)})"
        steps = f"{job.recipe.steps} steps of {job.recipe.model}"
        note(f"training {cell}, {place}: {steps}")
        record = _train(comparison, cell, job, watch, stop)
        if record is None:
            return False
        save_run(comparison.output, record)
    return _score(comparison, record, note, stop)


def describe(comparison: Comparison) -> list[str]:
    """One line for each run with its model, length and state, and one with the total."""
    done = {run.name for run in current(comparison).runs}
    lines = []
    for cell, seed in comparison.runs:
        steps = settled_steps(comparison.plan, cell, comparison.output)
        recipe = comparison.plan.recipe_of(cell, steps or 1, seed)
        scales = ", ".join(f"×{scale}" for scale in recipe.scales)
        length = f"{steps} steps" if steps else f"{comparison.plan.minutes:g} min"
        state = "done" if run_name(cell, seed) in done else "to do"
        kind = recipe.schedule.kind
        lines.append(f"{cell}, seed {seed}: {recipe.model}, {kind} {scales}, {length}, {state}")
    to_do = len(comparison.runs) - len(done)
    hours = (comparison.plan.minutes or 0) * to_do / 60
    left = f"; about {hours:.1f} h of training left" if hours else ""
    lines.append(f"{len(comparison.runs)} runs, {to_do} to do{left}")
    return lines


def current(comparison: Comparison) -> ComparisonOutcome:
    """The outcome of the stored runs whose recipe equals that of the plan."""
    outcome, plan = read_outcome(comparison.output), comparison.plan
    runs = []
    for run in outcome.runs:
        if (run.cell, run.seed) in comparison.runs:
            steps = settled_steps(plan, run.cell, comparison.output)
            if steps and run.recipe == plan.recipe_of(run.cell, steps, run.seed):
                runs.append(run)
    names = {run.name for run in runs}
    return ComparisonOutcome(tuple(runs), tuple(row for row in outcome.rows if row.model in names))


def _steps(comparison: Comparison, cell: str, note: Note, stop: Stop) -> int | None:
    plan = comparison.plan
    steps = settled_steps(plan, cell, comparison.output)
    if steps is None and not stop():
        note(f"{cell}: timing steps, to find how many fit into {plan.minutes:g} minutes")
        steps = measure_budget(plan, cell, comparison.output, stop)
    return steps


def _finished(comparison: Comparison, cell: str, seed: int) -> RunRecord | None:
    """The record of a finished run, or None if it must be trained again.

    That is the case if its weights are lost but needed, because it lacks scores or another run
    starts from it.
    """
    done = {(run.cell, run.seed): run for run in current(comparison).runs}
    record = done.get((cell, seed))
    if record is None:
        return None
    # The folder may hold the weights of an unfinished repetition.
    last = comparison.place(cell, seed) / LAST
    if last.exists() and find(last).sha256 == record.weights:
        return record
    plan = comparison.plan
    followers = [other for other in plan.cells if plan.start_from(other) == cell]
    needed = _missing(comparison, record) or any((c, seed) not in done for c in followers)
    return None if needed else record


def _train(
    comparison: Comparison, cell: str, job: TrainingJob, watch: Watch, stop: Stop
) -> RunRecord | None:
    """Train a run to its end and return its record, or None if it was stopped."""
    with watch(job) as (session, observer):
        train(session, observer, stop)
    run = session.run
    if not run.finished:
        return None
    points = list(_validations(job.folder / "log.jsonl", job.recipe.scales))
    seconds = run.progress.seconds
    if budget := read_budgets(comparison.output).get(cell):
        took = {p.step: budget.seconds_until(p.step, job.recipe) for p in points}
        points = [p.model_copy(update={"seconds": took[p.step]}) for p in points]
        seconds = budget.seconds_until(job.recipe.steps, job.recipe)
    net = build(job.recipe.net)
    return RunRecord(
        cell=cell,
        seed=job.recipe.seed,
        recipe=job.recipe,
        seconds=round(seconds, 3),
        skipped=run.progress.skipped,
        precision=run.progress.precision,
        parameters={scale: net.parameter_count(scale) for scale in job.recipe.scales},
        weights=find(job.folder / LAST).sha256,
        validation=tuple(points),
    )


def _validations(log: Path, scales: Sequence[Scale]) -> Iterator[ValidationPoint]:
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["kind"] == "validation":
            psnr: dict[int, float] = {
                s: round(entry[f"psnr_x{s}"], 4) for s in scales if f"psnr_x{s}" in entry
            }
            seconds = round(entry["seconds"], 3)
            yield ValidationPoint(step=entry["step"], seconds=seconds, psnr=psnr)


def _missing(comparison: Comparison, record: RunRecord) -> list[tuple[Benchmark, Scale]]:
    """The sets and scales on which a run has no scores yet."""
    outcome = read_outcome(comparison.output)
    return [
        (benchmark, scale)
        for scale in record.recipe.scales
        for benchmark in comparison.sets
        if comparison.plan.is_scored_on(record.cell, benchmark.name)
        and benchmark.name not in outcome.of(record.cell, record.seed, scale)
    ]


def _score(comparison: Comparison, record: RunRecord, note: Note, stop: Stop) -> bool:
    """Add missing scores of a run's final averaged weights; return False if it was stopped."""
    missing = _missing(comparison, record)
    if not missing:
        return True
    note(f"scoring {record.name} on {', '.join({b.name: 0 for b, _ in missing})}")
    last = comparison.place(record.cell, record.seed) / LAST
    upscaler = prosr.load(last, max_memory=SCORING_MEMORY, engine="torch")
    for benchmark, scale in missing:
        if stop():
            return False
        try:
            row = score(upscaler, benchmark, scale, PROTOCOL, name=record.name, progress=stop)
        except ScoringStoppedError:
            return False
        save_results(comparison.output / SCORES, [row])
        note(f"  {benchmark.name} ×{scale}: {row.psnr:.2f} dB")
    return True

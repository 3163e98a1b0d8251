"""A comparison from its plan to its scores: one run after another, stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from prosr.checkpoints.weights import load_weights
from prosr.data.benchmarks import Benchmark
from prosr.errors import ConfigError, InferenceError, ProSRError
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.results import save_results
from prosr.evaluation.scoring import score
from prosr.inference.upscaler import SCORING_MEMORY, Upscaler
from prosr.lab.budget import Stop, measure, read_budgets, settled_steps
from prosr.lab.outcome import SCORES, Outcome, Point, Trained, read_outcome, save_run
from prosr.lab.plan import Plan
from prosr.scales import Scale
from prosr.training.adversarial import CollapsedError
from prosr.training.loop import Observer, train
from prosr.training.objectives import DivergedError
from prosr.training.session import Session, TrainingJob, prepare

PROTOCOL, LAST = "paper", "last.safetensors"


class Audience(Protocol):
    """Whoever watches a comparison."""

    def note(self, line: str) -> None:
        """Something happened."""

    def opening(self, done: int, total: int) -> None:
        """So many of all training pictures are opened."""

    def watching(self, session: Session) -> AbstractContextManager[Observer]:
        """A run begins or goes on, and is watched for as long as the block lasts."""


@dataclass(frozen=True)
class Comparison:
    """A plan with all that its runs share; `folder` keeps the runs, `output` what they gave.

    Raises `ConfigError` if a cell's features or all of its sets are not there, and what
    `Benchmark.check` raises, before hours of training.
    """

    plan: Plan
    data: Sequence[Path]
    validation: Benchmark
    sets: Sequence[Benchmark]
    folder: Path
    output: Path
    workers: int = 1

    def __post_init__(self) -> None:
        for cell in self.plan.cells:
            adversarial = self.plan.recipe_of(cell, 1, 0).adversarial
            if adversarial and not adversarial.file.is_file():
                raise ConfigError(
                    f"cells.{cell}: there is no {adversarial.file} here; run the command where "
                    "adversarial.file is"
                )
            if not any(self.plan.is_scored_on(cell, one.name) for one in self.sets):
                names = ", ".join(one.name for one in self.sets)
                raise ConfigError(f"cells.{cell}: none of its sets is among {names}")
        cells = [self.plan.recipe_of(cell, 1, 0) for cell in self.plan.cells]
        scales = sorted({scale for recipe in cells for scale in recipe.scales})
        for one in (self.validation, *self.sets):
            one.check(scales, find_protocol(PROTOCOL).smallest)

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Cells and seeds in the order of training: every cell once, then once more."""
        return [(cell, seed) for seed in self.plan.seeds for cell in self.plan.cells]

    def job(self, cell: str, seed: int, steps: int) -> TrainingJob:
        """One run, made ready for `training.session`.

        A step that is not finite is left out: one net that diverges must not end the others.
        """
        first = self.plan.start_from(cell)
        return TrainingJob(
            recipe=self.plan.recipe_of(cell, steps, seed),
            data=self.data,
            folder=self.place(cell, seed),
            cache=self.folder / "cache",
            protocol=find_protocol(PROTOCOL),
            validation=self.validation.first(self.plan.validation_pictures),
            workers=self.workers,
            skip_nonfinite=True,
            start_from=self.place(first, seed) / LAST if first else None,
        )

    def place(self, cell: str, seed: int) -> Path:
        """The folder of a run."""
        return self.folder / cell / f"seed-{seed}"


def compare(
    comparison: Comparison, audience: Audience, stop: Stop, report: Callable[[Outcome], None]
) -> bool:
    """Train and score what is not yet, and return whether everything is.

    Steps are timed before the first run, of all cells one after the other: what the machine
    does beside training later on is no cell's advantage.

    `report` gets the outcome so far whenever there is more of it, and at least once. When
    `stop` says so, the state is saved and the same call goes on from there. A run that
    diverges or collapses ends alone, with those that would start from it: when all others
    are done, `ProSRError` names them. Raises what else training and scoring raise.
    """
    reported: Outcome | None = None
    failed: list[str] = []
    steps_of: dict[str, int] = {}
    for cell in comparison.plan.cells:
        steps = _steps(comparison, cell, audience, stop)
        if steps is None:
            return False
        steps_of[cell] = steps
    for number, (cell, seed) in enumerate(comparison.runs, 1):
        if stop():
            return False
        name, first = f"{cell}/seed-{seed}", comparison.plan.start_from(cell)
        if f"{first}/seed-{seed}" in failed:
            failed.append(name)
            continue
        job = comparison.job(cell, seed, steps_of[cell])
        try:
            if not _train_and_score(comparison, number, job, audience, stop):
                return False
        except (DivergedError, CollapsedError, InferenceError) as error:
            audience.note(f"{name} failed: {error}")
            failed.append(name)
            continue
        outcome = current(comparison)
        if outcome != reported:
            report(outcome)
        reported = outcome
    if failed:
        raise ProSRError(
            f"{len(failed)} of {len(comparison.runs)} runs could not be trained: "
            f"{', '.join(failed)}; the remedy stands with each one's failure above"
        )
    return True


def _train_and_score(
    comparison: Comparison, number: int, job: TrainingJob, audience: Audience, stop: Stop
) -> bool:
    """Do what is still to be done of run `number`; False if it was stopped before the end."""
    cell, seed = comparison.runs[number - 1]
    trained = _finished(comparison, cell, seed)
    if trained is None:
        left = _hours_left(comparison, number - 1)
        place = f"seed {seed} ({number} of {len(comparison.runs)})"
        steps = f"{job.recipe.steps} steps of {job.recipe.model}"
        audience.note(f"training {cell}, {place}: {steps}{left}")
        trained = _train(comparison, cell, seed, job, audience, stop)
        if trained is None:
            return False
        save_run(comparison.output, trained)
    return _score(comparison, trained, job.folder, audience, stop)


def describe(comparison: Comparison) -> list[str]:
    """One line for each run: what it is, how long, and how far it has come."""
    done = {run.name for run in current(comparison).runs}
    lines = []
    for cell, seed in comparison.runs:
        steps = settled_steps(comparison.plan, cell, comparison.output)
        recipe = comparison.plan.recipe_of(cell, steps or 1, seed)
        scales = ", ".join(f"×{scale}" for scale in recipe.scales)
        length = f"{steps} steps" if steps else f"{comparison.plan.minutes:g} min"
        state = "done" if f"{cell}/seed-{seed}" in done else "to do"
        kind = recipe.schedule.kind
        lines.append(f"{cell}, seed {seed}: {recipe.model}, {kind} {scales}, {length}, {state}")
    to_do = len(comparison.runs) - len(done)
    left = _hours_left(comparison, len(done))
    lines.append(f"{len(comparison.runs)} runs, {to_do} to do{left}")
    return lines


def current(comparison: Comparison) -> Outcome:
    """What the comparison's output holds of runs as its plan has them now."""
    outcome, plan = read_outcome(comparison.output), comparison.plan
    runs = []
    for run in outcome.runs:
        if (run.cell, run.seed) in comparison.runs:
            steps = settled_steps(plan, run.cell, comparison.output)
            if steps and run.recipe == plan.recipe_of(run.cell, steps, run.seed):
                runs.append(run)
    names = {run.name for run in runs}
    return Outcome(tuple(runs), tuple(row for row in outcome.rows if row.model in names))


def _steps(comparison: Comparison, cell: str, audience: Audience, stop: Stop) -> int | None:
    plan = comparison.plan
    steps = settled_steps(plan, cell, comparison.output)
    if steps is None and not stop():
        audience.note(f"{cell}: timing steps, to find how many fit into {plan.minutes:g} minutes")
        job = replace(comparison.job(cell, plan.seeds[0], 1), start_from=None)
        steps = measure(plan, cell, comparison.output, job, audience.opening, stop)
    return steps


def _hours_left(comparison: Comparison, done: int) -> str:
    """Say how long the runs after the first `done` train, where the plan says it."""
    hours = (comparison.plan.minutes or 0) * (len(comparison.runs) - done) / 60
    return f"; about {hours:.1f} h of training left" if comparison.plan.minutes else ""


def _finished(comparison: Comparison, cell: str, seed: int) -> Trained | None:
    """The run's record, if it was trained as the plan says and its weights are not missed.

    They are where it is still to be scored, or another cell's run to be started from it.
    """
    done = {(run.cell, run.seed): run for run in current(comparison).runs}
    trained = done.get((cell, seed))
    if trained is None or _weights_are_there(comparison, trained):
        return trained
    plan = comparison.plan
    followers = [other for other in plan.cells if plan.start_from(other) == cell]
    missed = _missing(comparison, trained) or any((c, seed) not in done for c in followers)
    return None if missed else trained


def _weights_are_there(comparison: Comparison, trained: Trained) -> bool:
    """Whether the folder has the run's weights, and not those of half of it being made again."""
    last = comparison.place(trained.cell, trained.seed) / LAST
    return last.exists() and load_weights(last).sha256 == trained.weights


def _train(
    comparison: Comparison, cell: str, seed: int, job: TrainingJob, audience: Audience, stop: Stop
) -> Trained | None:
    """Train a run to its end and describe it, or return None if it was stopped before."""
    session = prepare(job, audience.opening)
    with audience.watching(session) as observer:
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
    return Trained(
        cell=cell,
        seed=seed,
        recipe=job.recipe,
        seconds=round(seconds, 3),
        skipped=run.progress.skipped,
        precision=run.progress.precision,
        parameters={scale: run.net.parameter_count(scale) for scale in job.recipe.scales},
        weights=load_weights(job.folder / LAST).sha256,
        validation=tuple(points),
    )


def _validations(log: Path, scales: Sequence[Scale]) -> Iterator[Point]:
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["kind"] == "validation":
            psnr: dict[int, float] = {
                s: round(entry[f"psnr_x{s}"], 4) for s in scales if f"psnr_x{s}" in entry
            }
            yield Point(step=entry["step"], seconds=round(entry["seconds"], 3), psnr=psnr)


def _missing(comparison: Comparison, trained: Trained) -> list[tuple[Benchmark, Scale]]:
    """The sets and scales that a run is still to be scored on."""
    outcome = read_outcome(comparison.output)
    return [
        (benchmark, scale)
        for scale in trained.recipe.scales
        for benchmark in comparison.sets
        if comparison.plan.is_scored_on(trained.cell, benchmark.name)
        and benchmark.name not in outcome.of(trained.cell, trained.seed, scale)
    ]


class _Stopped(Exception):
    """Scoring was stopped between two pictures."""


def _score(
    comparison: Comparison, trained: Trained, folder: Path, audience: Audience, stop: Stop
) -> bool:
    """Score the last averaged weights where they are not yet; False if stopped before the end."""
    missing = _missing(comparison, trained)
    if not missing:
        return True
    audience.note(f"scoring {trained.name} on {', '.join({b.name: 0 for b, _ in missing})}")
    weights = load_weights(folder / LAST)
    upscaler = Upscaler(weights.net, weights.name, weights.sha256, SCORING_MEMORY)
    protocol = find_protocol(PROTOCOL)

    def stop_between_pictures() -> None:
        if stop():
            raise _Stopped

    for benchmark, scale in missing:
        try:
            stop_between_pictures()
            row = score(
                upscaler,
                benchmark,
                scale,
                protocol,
                name=trained.name,
                progress=stop_between_pictures,
            )
        except _Stopped:
            return False
        save_results(comparison.output / SCORES, [row])
        audience.note(f"  {benchmark.name} ×{scale}: {row.psnr:.2f} dB")
    return True

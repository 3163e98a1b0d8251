"""Whole comparisons with tiny networks: order, stopping, resuming, scores and reports."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import load_state
from prosr.data.benchmarks import open_benchmark
from prosr.errors import ConfigError, ProSRError
from prosr.lab import budget
from prosr.lab.budget import Stop
from prosr.lab.comparison import Comparison, compare, describe
from prosr.lab.outcome import ComparisonOutcome, read_outcome
from prosr.lab.plan import ComparisonPlan
from prosr.scales import Scale
from prosr.training.objectives import StepResult
from prosr.training.session import Session, TrainingJob, prepare

TINY = {"features": 4, "growth": [2, 2, 2]}
PLAN = ComparisonPlan(
    seeds=(0, 1),
    validations=2,
    validation_pictures=1,
    recipe={"batch": 2, "patch": [6, 4, 2], "steps": 4, "layout": TINY},
    cells={
        "simultaneous": {"model": "table1-curriculum", "schedule": {"kind": "simultaneous"}},
        "single-x2": {"model": "table1-curriculum", "schedule": {"kind": "single", "scale": 2}},
    },
)


class Recorder:
    """Records all events, and stops after `patience` steps."""

    def __init__(self, patience: int = 10_000) -> None:
        self.patience = patience
        self.lines: list[str] = []
        self.runs: list[str] = []
        self.reports: list[ComparisonOutcome] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def watch(self, job: TrainingJob) -> Iterator[tuple[Session, "Recorder"]]:
        self.runs.append("/".join(job.folder.parts[-2:]))
        yield prepare(job, lambda done, total: None), self

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        self.patience -= 1

    def skipped(self, step: int, reason: str) -> None:
        raise AssertionError(reason)

    def validated(self, step: int, protocol: str, psnr: dict[Scale, float], best: bool) -> None:
        """Tests read validations from the log."""

    def stop(self) -> bool:
        return self.patience <= 0


@pytest.fixture
def made(tmp_path: Path) -> Comparison:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    shutil.copytree(folder, tmp_path / "Set14")
    return Comparison(
        plan=PLAN,
        data=[folder],
        validation=open_benchmark(folder),
        sets=[open_benchmark(tmp_path / "Set14")],
        folder=tmp_path / "run",
        output=tmp_path / "out",
        workers=0,
    )


def run(comparison: Comparison, recorder: Recorder, stop: Stop) -> bool:
    return compare(comparison, recorder.watch, recorder.note, stop, recorder.reports.append)


def go(comparison: Comparison, patience: int = 10_000) -> tuple[bool, Recorder]:
    recorder = Recorder(patience)
    return run(comparison, recorder, recorder.stop), recorder


def elsewhere(comparison: Comparison, name: str) -> Comparison:
    folder = comparison.folder.parent / name
    return replace(comparison, folder=folder / "run", output=folder / "out")


def test_a_resumed_comparison_equals_an_uninterrupted_one_bit_for_bit(made: Comparison) -> None:
    parts = elsewhere(made, "parts")
    assert go(made)[0]
    for patience in (2, 3, 5):
        assert not go(parts, patience)[0]
    assert go(parts)[0]
    for cell, seed in made.runs:
        place = Path(cell, f"seed-{seed}", "state.safetensors")
        a, b = (load_state(one.folder / place)[0] for one in (made, parts))
        assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    whole, resumed = (read_outcome(one.output) for one in (made, parts))
    assert [(row.key, row.weights, row.psnr) for row in whole.rows] == [
        (row.key, row.weights, row.psnr) for row in resumed.rows
    ]
    assert [[(p.step, p.psnr) for p in run.validation] for run in whole.runs] == [
        [(p.step, p.psnr) for p in run.validation] for run in resumed.runs
    ]


def test_all_cells_are_trained_with_one_seed_before_the_next(made: Comparison) -> None:
    _, recorder = go(made)
    assert recorder.runs == [
        f"{cell}/seed-{seed}" for seed in (0, 1) for cell in ("simultaneous", "single-x2")
    ]
    assert [len(outcome.runs) for outcome in recorder.reports] == [1, 2, 3, 4]


def test_finished_runs_are_neither_trained_nor_scored_again(made: Comparison) -> None:
    go(made)
    finished, again = go(made)
    assert finished
    assert not again.runs
    assert not again.lines
    assert len(again.reports) == 1


def test_a_set_added_later_is_scored_without_training(made: Comparison) -> None:
    go(made)
    shutil.copytree(made.data[0], made.folder.parent / "BSD100")
    more = replace(made, sets=[*made.sets, open_benchmark(made.folder.parent / "BSD100")])
    _, recorder = go(more)
    assert not recorder.runs
    rows = read_outcome(made.output).of("simultaneous", 1, 8)
    assert rows.keys() == {"Set14", "BSD100"}


def test_finished_runs_do_not_need_their_weights(made: Comparison) -> None:
    go(made)
    shutil.rmtree(made.folder)
    finished, again = go(made)
    assert finished
    assert not again.runs


def test_lost_weights_are_trained_again_if_they_are_needed(made: Comparison) -> None:
    cells = {**PLAN.cells, "after": {**PLAN.cells["single-x2"], "start_from": "single-x2"}}
    followed = replace(made, plan=PLAN.model_copy(update={"cells": cells, "seeds": (0,)}))
    go(replace(followed, plan=PLAN))
    shutil.rmtree(made.folder)
    finished, again = go(followed)
    assert finished
    assert again.runs == ["single-x2/seed-0", "after/seed-0"]


def test_an_unfinished_repetition_is_not_taken_for_finished(made: Comparison) -> None:
    cells = {**PLAN.cells, "after": {**PLAN.cells["single-x2"], "start_from": "single-x2"}}
    followed = replace(made, plan=PLAN.model_copy(update={"cells": cells, "seeds": (0,)}))
    go(replace(followed, plan=PLAN))
    weights = find(made.place("single-x2", 0) / "last.safetensors").sha256
    shutil.rmtree(made.folder)
    assert not go(followed, 2)[0]
    assert (made.place("single-x2", 0) / "last.safetensors").exists()
    assert go(followed)[0]
    assert find(made.place("single-x2", 0) / "last.safetensors").sha256 == weights


def test_a_record_has_what_the_tables_need(made: Comparison) -> None:
    go(made)
    run = read_outcome(made.output).run("simultaneous")
    assert run is not None
    assert run.parameters[2] < run.parameters[4] < run.parameters[8]
    assert [point.step for point in run.validation] == [2, 4]
    assert 0 < run.validation[0].seconds <= run.validation[1].seconds <= run.seconds + 0.1
    assert run.validation[0].psnr.keys() == {2, 4, 8}


def test_scores_of_other_weights_do_not_count(made: Comparison) -> None:
    go(made)
    path = made.output / "scores.json"
    rows = json.loads(path.read_text())
    rows[0]["weights"] = "0" * 64
    path.write_text(json.dumps(rows))
    assert len(read_outcome(made.output).rows) == len(rows) - 1


def test_a_cell_can_start_from_the_weights_of_another(made: Comparison) -> None:
    first = {"model": "table1-curriculum", "schedule": {"kind": "single", "scale": 2}}
    later = {**first, "start_from": "first", "sets": ["Set5"]}
    plan = PLAN.model_copy(update={"cells": {"first": first, "later": later}})
    both = replace(made, plan=plan, sets=[*made.sets, replace(made.sets[0], name="Set5")])
    assert not go(both, patience=6)[0]
    assert go(both)[0]
    runs = {(run.cell, run.seed): run for run in read_outcome(made.output).runs}
    for seed in (0, 1):
        card = find(both.place("later", seed) / "last.safetensors").card
        assert card["started from"] == runs["first", seed].weights
        assert read_outcome(made.output).of("first", seed, 2).keys() == {"Set14", "Set5"}
        assert read_outcome(made.output).of("later", seed, 2).keys() == {"Set5"}


def test_scoring_stops_between_two_pictures(made: Comparison) -> None:
    recorder, looked = Recorder(), 0

    def stop() -> bool:
        nonlocal looked
        looked += recorder.lines[-1].startswith("scoring")
        return looked == 2

    assert not run(made, recorder, lambda: bool(recorder.lines) and stop())
    outcome = read_outcome(made.output)
    assert (len(outcome.runs), len(outcome.rows)) == (1, 0)


def test_a_missing_file_of_features_is_refused_before_training(made: Comparison) -> None:
    gan = {
        "model": "prosr-xs",
        "layout": {},
        "patch": [16, 8, 4],
        "adversarial": {
            "discriminator": "progansr-xs",
            "features": "distilled",
            "file": "no.pth",
            "turns": 1,
        },
    }
    plan = PLAN.model_copy(update={"cells": {**PLAN.cells, "gan": gan}})
    with pytest.raises(ConfigError, match=r"cells\.gan: there is no no\.pth here"):
        replace(made, plan=plan)


def test_a_cell_without_any_set_is_refused(made: Comparison) -> None:
    cells = {"single-x2": {**PLAN.cells["single-x2"], "sets": ["Set41"]}}
    with pytest.raises(ConfigError, match=r"cells\.single-x2: none of its sets is among Set14"):
        replace(made, plan=PLAN.model_copy(update={"cells": cells}))


def test_minutes_become_steps_once_and_for_every_seed(
    made: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {"single-x2": {**PLAN.cells["single-x2"], "steps": None}}
    shared = {key: value for key, value in PLAN.recipe.items() if key != "steps"}
    plan = PLAN.model_copy(update={"minutes": 0.5, "recipe": shared, "cells": cells})
    monkeypatch.setattr(budget, "_seconds_per_step", lambda *_: 10.0)
    timed = replace(made, plan=plan)
    assert describe(timed)[0].endswith("single ×2, 0.5 min, to do")
    assert not go(timed, patience=1)[0]
    monkeypatch.setattr(budget, "_seconds_per_step", lambda *_: 1.0)
    assert go(timed)[0]
    assert [run.recipe.steps for run in read_outcome(made.output).runs] == [3, 3]
    assert [run.seconds for run in read_outcome(made.output).runs] == [30.0, 30.0]
    assert describe(timed)[0].endswith("single ×2, 3 steps, done")


def test_all_cells_are_timed_before_the_first_is_trained(
    made: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    single: dict[str, object] = {**PLAN.cells["single-x2"], "steps": None}
    later = {**single, "start_from": "single"}
    shared = {key: value for key, value in PLAN.recipe.items() if key != "steps"}
    cells = {"single": single, "later": later}
    changes = {"minutes": 0.5, "seeds": (0,), "recipe": shared, "cells": cells}
    monkeypatch.setattr(budget, "_seconds_per_step", lambda *_: 10.0)
    recorder = Recorder()
    timed = replace(made, plan=PLAN.model_copy(update=changes))
    assert run(timed, recorder, recorder.stop)
    assert [line.split()[0] for line in recorder.lines[:3]] == ["single:", "later:", "training"]


def test_reports_leave_out_runs_that_the_plan_no_longer_has(made: Comparison) -> None:
    go(made)
    longer = PLAN.model_copy(update={"recipe": {**PLAN.recipe, "steps": 6}, "seeds": (0,)})
    _, recorder = go(replace(made, plan=longer, folder=made.folder.parent / "other"))
    assert [len(outcome.runs) for outcome in recorder.reports] == [1, 2]
    assert {run.recipe.steps for run in recorder.reports[-1].runs} == {6}


def test_runs_of_another_plan_are_not_resumed(made: Comparison) -> None:
    go(made, patience=1)
    other = PLAN.model_copy(update={"recipe": {**PLAN.recipe, "batch": 4}})
    with pytest.raises(ConfigError, match="batch = 2, not 4"):
        go(replace(made, plan=other))


def test_a_diverging_cell_ends_alone(made: Comparison) -> None:
    cells = {
        "bad": {**PLAN.cells["single-x2"], "learning_rate": 1e30},
        "after-bad": {**PLAN.cells["single-x2"], "start_from": "bad"},
        "single-x2": PLAN.cells["single-x2"],
    }
    plan = PLAN.model_copy(update={"cells": cells, "seeds": (0,)})
    recorder = Lenient()
    with pytest.raises(ProSRError, match=r"^2 of 3 runs .*: bad/seed-0, after-bad/seed-0; see"):
        run(replace(made, plan=plan), recorder, recorder.stop)
    assert [run.cell for run in recorder.reports[-1].runs] == ["single-x2"]
    assert any(line.startswith("bad/seed-0 failed: ") for line in recorder.lines)


class Lenient(Recorder):
    """Accepts skipped steps."""

    def skipped(self, step: int, reason: str) -> None:
        """A diverging cell skips steps."""

"""The schedule and cost of a run, without starting it."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from prosr import cli
from prosr.config import Curriculum, Recipe, Single
from prosr.lab.steps import measure_steps
from prosr.training.curriculum import phases, stage_at

RECIPE = Recipe(
    model="prosr-xs",
    layout={"features": 8, "growth": [2, 2, 2], "upsampled": [8, 4, 4]},
    steps=100,
    batch=2,
    patch=(6, 4, 2),
    schedule=Curriculum(blend_4=(0.1, 0.2), blend_8=(0.5, 0.6)),
    learning_rate=1e-3,
    decay="cosine",
)


def test_phases_change_where_a_scale_opens_and_where_it_is_complete() -> None:
    starts = [0, 10, 20, 50, 60, 100]
    assert phases(RECIPE) == [range(*ends) for ends in pairwise(starts)]
    scales = [stage_at(start, RECIPE).scales for start in starts[:-1]]
    assert scales == [(2,), (2, 4), (2, 4), (2, 4, 8), (2, 4, 8)]


def test_phases_of_a_very_long_run_are_found_quickly() -> None:
    found = phases(RECIPE.model_copy(update={"steps": 10**12}))
    assert [p.start for p in found] == [0, 10**11, 2 * 10**11, 5 * 10**11, 6 * 10**11]
    assert found[-1].stop == 10**12


def test_one_scale_is_one_phase() -> None:
    assert phases(RECIPE.model_copy(update={"schedule": Single(scale=4)})) == [range(100)]


def test_a_step_of_each_scale_is_measured() -> None:
    single = RECIPE.model_copy(update={"schedule": Single(scale=4)})
    ((step, seconds),) = measure_steps(single, 1, lambda name: None)
    assert (step.scale, step.patch) == (4, 4)
    assert seconds > 0


def test_a_dry_run_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'model = "prosr-xs"\nsteps = 10\nbatch = 2\npatch = [6, 4, 2]\n'
        'schedule = { kind = "single", scale = 2 }\n'
    )
    words = [str(recipe), "--data", str(tmp_path), "--run", str(tmp_path / "run"), "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["prosr", "train", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "508,625 parameters" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [recipe]

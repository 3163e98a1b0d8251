"""The schedule and cost of a run, without starting it."""

import sys
from pathlib import Path

import pytest

from prosr import cli
from prosr.config import Curriculum, Recipe, Single
from prosr.training.forecast import Phase, forecast, phases

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
    found = phases(RECIPE)
    assert [(p.first, p.last, p.scales) for p in found] == [
        (0, 9, (2,)),
        (10, 19, (2, 4)),
        (20, 49, (2, 4)),
        (50, 59, (2, 4, 8)),
        (60, 99, (2, 4, 8)),
    ]
    assert found[1].alpha == pytest.approx((0, 0.9))
    assert found[-1].alpha == (1, 1)
    assert found[0].rate[0] == 1e-3 and found[-1].rate[1] < 1e-5


def test_phases_of_a_very_long_run_are_found_quickly() -> None:
    found = phases(RECIPE.model_copy(update={"steps": 10**12}))
    assert [p.first for p in found] == [0, 10**11, 2 * 10**11, 5 * 10**11, 6 * 10**11]
    assert found[-1].last == 10**12 - 1


def test_one_scale_is_one_phase() -> None:
    single = RECIPE.model_copy(update={"schedule": Single(scale=4), "decay": "none"})
    assert phases(single) == (Phase(0, 99, (4,), (1, 1), (1e-3, 1e-3)),)


def test_the_time_is_that_of_the_expected_steps_at_each_scale() -> None:
    single = RECIPE.model_copy(update={"schedule": Single(scale=4)})
    expected = forecast(single, 1, lambda name: None)
    (step,) = expected.steps
    assert (step.scale, step.share, step.patch) == (4, 1, 4)
    assert expected.seconds(single) == pytest.approx(100 * step.seconds)
    assert step.memory > 50_000_000


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
    assert "457,185 parameters" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [recipe]

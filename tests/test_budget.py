"""Minutes become steps."""

from pathlib import Path

import pytest

from prosr.config import Recipe, Simultaneous, Single, load_recipe
from prosr.errors import ConfigError
from prosr.evaluation.timing import Timing
from prosr.lab import budget
from prosr.lab.budget import measure_budget, read_budgets, settled_steps, steps_within
from prosr.lab.plan import ComparisonPlan
from prosr.lab.steps import StepWork

RECIPES = Path(__file__).parents[1] / "recipes"

CELLS = {
    "a": {
        "model": "table1-curriculum",
        "layout": {"features": 4, "growth": [2, 2, 2]},
        "batch": 1,
        "patch": [6, 4, 2],
        "schedule": {"kind": "single", "scale": 2},
    }
}
PLAN = ComparisonPlan(minutes=0.01, cells=CELLS)
XS = Recipe(model="prosr-xs", steps=1_000_000)


def test_steps_are_those_whose_expected_time_is_the_budget() -> None:
    seconds = {2: 1.0, 4: 2.0, 8: 3.0}
    single = XS.model_copy(update={"schedule": Single(scale=4)})
    assert steps_within(1, single, seconds) == 30
    assert steps_within(1, XS.model_copy(update={"schedule": Simultaneous()}), seconds) == 30
    # ×2 alone for 0.12, with ×4 until 0.45, then all: 0.4683, 0.3483 and 0.1833 of the steps.
    assert steps_within(1, XS, seconds) == round(60 / (0.4683 + 2 * 0.3483 + 3 * 0.1833))
    assert steps_within(0.001, single, seconds) == 1


def test_a_machine_that_is_busy_most_of_the_time_gives_the_same_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timing = Timing((1.0, 5.0, 9.0) * 13 + (1.0, 1.0))
    monkeypatch.setattr(budget, "measure", lambda *_: {"step": timing})
    assert budget._seconds_per_step(StepWork(PLAN.recipe_of("a", 1, 0), 2)) == 1.0


def test_unequal_steps_count_by_their_median(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "measure", lambda *_: {"step": Timing((1.0, 2.0, 3.0) * 13)})
    monkeypatch.setattr(budget, "make_step", lambda work: None)
    gan = load_recipe(RECIPES / "progansr-xs.toml", [])
    assert budget._seconds_per_step(StepWork(gan, 2)) == 2.0


def test_measuring_saves_the_budget_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "SECONDS", 0.0)
    folder = tmp_path / "out"
    steps = measure_budget(PLAN, "a", folder, lambda: False)
    assert steps == settled_steps(PLAN, "a", folder)
    kept = read_budgets(folder)["a"]
    assert steps == steps_within(0.01, kept.recipe, kept.seconds)
    assert [path.name for path in folder.iterdir()] == ["budgets.json"]


def test_a_stopped_measurement_saves_nothing(tmp_path: Path) -> None:
    assert measure_budget(PLAN, "a", tmp_path, lambda: True) is None
    assert settled_steps(PLAN, "a", tmp_path) is None


@pytest.mark.parametrize(
    "change,message",
    [
        ({"minutes": 5.0}, "holds a with minutes = 0.01, this plan says 5.0"),
        ({"recipe": {"clip": 2.0}}, "holds a with clip = None, this plan says 2.0"),
    ],
)
def test_steps_measured_for_another_plan_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
    message: str,
) -> None:
    monkeypatch.setattr(budget, "_seconds_per_step", lambda *_: 1.0)
    measure_budget(PLAN, "a", tmp_path, lambda: False)
    with pytest.raises(ConfigError, match=message):
        settled_steps(PLAN.model_copy(update=change), "a", tmp_path)

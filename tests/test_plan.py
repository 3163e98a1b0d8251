"""Plans: the recipe of a cell, and refused plans."""

from pathlib import Path
from typing import Any

import pytest

from prosr.config import Single
from prosr.errors import ConfigError
from prosr.lab.ablation import check_cells
from prosr.lab.plan import ComparisonPlan, load_plan

Cells = dict[str, dict[str, Any]]
RECIPES = Path(__file__).parents[1] / "recipes"

CELL = 'minutes = 1\n[recipe]\nbatch = 2\n[cells.a]\nmodel = "prosr-xs"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


def test_a_recipe_has_shared_keys_the_cells_own_and_those_of_the_run() -> None:
    cells: Cells = {
        "a": {"model": "prosr-xs", "batch": 4},
        "b": {"model": "prosr-xs"},
    }
    plan = ComparisonPlan(minutes=1, validations=3, recipe={"batch": 2, "clip": 1.0}, cells=cells)
    recipe = plan.recipe_of("a", steps=10, seed=7)
    assert (recipe.batch, recipe.clip, recipe.seed, recipe.steps) == (4, 1.0, 7, 10)
    assert recipe.validate_every == 4
    assert plan.recipe_of("b", steps=10, seed=7).batch == 2


def test_steps_in_a_recipe_override_minutes() -> None:
    cells: Cells = {
        "a": {"model": "prosr-xs", "steps": 5},
        "b": {"model": "prosr-xs"},
    }
    plan = ComparisonPlan(minutes=1, cells=cells)
    assert (plan.steps("a"), plan.steps("b")) == (5, None)


@pytest.mark.parametrize(
    "text,message",
    [
        (CELL + "bacth = 1\n", r"plan\.toml: cells\.a: unknown key 'bacth'; did you mean 'batch'"),
        ("minuts = 2\n" + CELL, "unknown key 'minuts'; did you mean 'minutes'"),
        (CELL + "seed = 3\n", "cells.a: write the plan's seeds instead of seed"),
        (CELL + "[cells.b]\nmodel = 'prosr-xz'\n", "cells.b: no model is called 'prosr-xz'"),
        (CELL.replace("minutes = 1\n", ""), "cells.a has no budget; give minutes"),
        ("seeds = [1, 1]\n" + CELL, "a seed is repeated; write each once"),
        (CELL + "[cells.'A b']\nmodel = 'prosr-xs'\n", r"cells\.A b"),
        ("minutes = 1\n", "cells"),
        (CELL + "steps = '4'\n", "cells.a: steps must be a whole number"),
        (CELL + "sets = [1]\n", "cells.a: sets must be a list of names"),
        (CELL.replace("minutes = 1", "minutes = inf"), "minutes"),
        (
            CELL + "[cells.b]\nmodel = 'prosr-s'\nstart_from = 'a'\n",
            "cells.b: start_from names a cell with another network",
        ),
        (CELL + "start_from = 'a'\n", "cells.a: start_from must name an earlier cell"),
        (
            CELL + "[cells.b]\nmodel = 'prosr-xs'\nstart_from = 'A'\n",
            "cells.b: start_from must name an earlier cell; known: a",
        ),
        (CELL + "sets = 'Set5'\n", "cells.a: sets must be a list of names"),
    ],
)
def test_an_invalid_plan_is_refused_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_plan(write(tmp_path, text))


def test_a_missing_plan_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_plan(tmp_path / "none.toml")
    assert str(error.value).count("none.toml") == 1


def test_a_cell_of_no_table_is_refused_with_the_nearest_one() -> None:
    plan = ComparisonPlan(minutes=1, cells={"curiculum": {"model": "prosr-xs"}})
    with pytest.raises(ConfigError, match="did you mean 'curriculum'"):
        check_cells(plan)


@pytest.mark.parametrize("name", ["ablation.toml", "paper/ablation.toml"])
def test_the_plans_of_the_ablation_have_all_cells(name: str) -> None:
    plan = load_plan(RECIPES / name)
    check_cells(plan)
    assert len(plan.cells) == 10
    assert plan.recipe_of("single-x8", 1, 0).schedule == Single(scale=8)


def test_the_papers_plan_has_the_steps_of_the_papers_recipes() -> None:
    plan = load_plan(RECIPES / "paper" / "ablation.toml")
    assert {plan.steps(cell) for cell in plan.cells} == {300_000, 600_000}

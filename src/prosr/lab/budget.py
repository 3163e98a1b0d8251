"""Convert minutes to steps before a run starts, so that training itself never reads a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from prosr.config import Recipe
from prosr.errors import ConfigError
from prosr.evaluation.results import read_json
from prosr.evaluation.timing import measure
from prosr.files import write_text
from prosr.lab.plan import ComparisonPlan
from prosr.lab.steps import StepWork, make_step
from prosr.layouts import Frozen
from prosr.training.curriculum import scale_at, shares

Stop = Callable[[], bool]

MOST, SECONDS = 400, 20.0
"""Timed steps per scale: until there are MOST or SECONDS have passed."""

_ENDLESS = 1_000_000
"""Steps of a trial's recipe, which is never trained to its end."""


class Budget(Frozen):
    """A cell's steps and the seconds per step of each scale from which they were computed.

    `recipe` has the plan's first seed; the runs of other seeds have the same steps.
    """

    minutes: float
    seconds: dict[int, float]
    recipe: Recipe

    def seconds_until(self, step: int, recipe: Recipe) -> float:
        """Seconds of a run's first steps at the measured time per step."""
        return round(sum(self.seconds[scale_at(s, recipe)] for s in range(step)), 1)


_BUDGETS = TypeAdapter(dict[str, Budget])


def steps_within(minutes: float, recipe: Recipe, seconds: Mapping[int, float]) -> int:
    """The number of steps with an expected time of `minutes`, at least one."""
    step = sum(share * seconds[scale] for scale, share in shares(recipe).items())
    return max(1, round(60 * minutes / step))


def read_budgets(folder: Path) -> dict[str, Budget]:
    """The measured budgets in `folder` by cell."""
    path = folder / "budgets.json"
    return read_json(path, _BUDGETS, "a file of budgets") if path.exists() else {}


def settled_steps(plan: ComparisonPlan, cell: str, folder: Path) -> int | None:
    """The steps of a cell's runs, or None if its budget is not measured yet.

    Raises `ConfigError` if the budget was measured for another plan.
    """
    if plan.steps(cell) is not None or cell not in (known := read_budgets(folder)):
        return plan.steps(cell)
    budget = known[cell]
    steps = budget.recipe.steps
    now = {"minutes": plan.minutes, **plan.recipe_of(cell, steps, plan.seeds[0]).model_dump()}
    then = {"minutes": budget.minutes, **budget.recipe.model_dump()}
    for key in now:
        if now[key] != then[key] and key not in {"seed", "validate_every"}:
            raise ConfigError(
                f"{folder} holds {cell} with {key} = {then[key]}, this plan says {now[key]}; "
                "use the same plan or other --run and --output folders"
            )
    return steps


def measure_budget(plan: ComparisonPlan, cell: str, folder: Path, stop: Stop) -> int | None:
    """Time some steps of each scale, save the budget in `folder` and return its steps.

    Returns None if `stop` ended it between two scales.
    """
    assert plan.minutes is not None, "a plan without steps has minutes"
    trial = plan.recipe_of(cell, _ENDLESS, plan.seeds[0])
    seconds: dict[int, float] = {}
    for scale in trial.scales:
        if stop():
            return None
        seconds[scale] = _seconds_per_step(StepWork(trial, scale))
    steps = steps_within(plan.minutes, trial, seconds)
    recipe = plan.recipe_of(cell, steps, plan.seeds[0])
    budget = Budget(minutes=plan.minutes, seconds=seconds, recipe=recipe)
    known = read_budgets(folder) | {cell: budget}
    write_text(folder / "budgets.json", _BUDGETS.dump_json(known, indent=2).decode() + "\n")
    return steps


def _seconds_per_step(work: StepWork) -> float:
    """Lower quartile of the seconds per step, or the median of unequal steps.

    Other programs can only slow steps down, possibly most of them. Steps with `views` differ
    in their work.
    """
    timing = measure({"step": make_step(work)}, MOST, SECONDS)["step"]
    adversarial = work.recipe.adversarial
    return timing.median if adversarial and adversarial.views else timing.quartiles[0]

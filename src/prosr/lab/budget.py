"""Convert minutes to steps before a run starts, so that training itself never reads a clock."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

from pydantic import TypeAdapter, ValidationError

from prosr.config import Recipe, Single
from prosr.errors import ConfigError
from prosr.files import write_text
from prosr.lab.plan import ComparisonPlan
from prosr.layouts import Frozen
from prosr.scales import Scale
from prosr.training.curriculum import scale_at, shares
from prosr.training.loop import train
from prosr.training.objectives import StepResult
from prosr.training.session import TrainingJob, prepare

Stop = Callable[[], bool]
Opening = Callable[[int, int], None]

WARM_UP = 2
"""Steps that are not timed, because they load kernels and start workers."""

LEAST, MOST, SECONDS = 8, 400, 20.0
"""Timed steps per scale: at least LEAST, then until there are MOST or SECONDS have passed."""


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
    try:
        return _BUDGETS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path}: not readable; use another --output folder") from error


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


def measure_budget(
    plan: ComparisonPlan, cell: str, folder: Path, job: TrainingJob, opening: Opening, stop: Stop
) -> int | None:
    """Time some steps of each scale, save the budget in `folder` and return its steps.

    Returns None if `stop` ended it early. `job` is any run of the cell; the steps of its
    recipe are ignored. `opening` gets the number of opened pictures and of all.
    """
    assert plan.minutes is not None, "a plan without steps has minutes"
    seconds: dict[int, float] = {}
    for scale in job.recipe.scales:
        taken = _seconds_per_step(job, scale, opening, stop)
        if taken is None:
            return None
        seconds[scale] = taken
    steps = steps_within(plan.minutes, job.recipe, seconds)
    recipe = plan.recipe_of(cell, steps, plan.seeds[0])
    budget = Budget(minutes=plan.minutes, seconds=seconds, recipe=recipe)
    known = read_budgets(folder) | {cell: budget}
    write_text(folder / "budgets.json", _BUDGETS.dump_json(known, indent=2).decode() + "\n")
    return steps


class _Stopwatch:
    """An observer that times steps; `unequal` steps differ in their work."""

    def __init__(self, unequal: bool = False) -> None:
        self.ends: list[float] = []
        self._unequal = unequal

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        self.ends.append(time.monotonic())

    def skipped(self, step: int, reason: str) -> None:
        self.ends.append(time.monotonic())

    def validated(self, step: int, psnr: dict[Scale, float], best: bool) -> None:
        """There is no validation in a trial run."""

    @property
    def timed(self) -> list[float]:
        ends = self.ends[WARM_UP:]
        return [end - start for start, end in pairwise(ends)]

    @property
    def seconds(self) -> float:
        """Lower quartile of the seconds per step, or the median of unequal steps.

        Other programs only ever slow steps down, possibly most of them.
        """
        return quantiles(self.timed)[1 if self._unequal else 0]

    def enough(self) -> bool:
        timed = self.timed
        return len(timed) >= MOST or (len(timed) >= LEAST and sum(timed) > SECONDS)


def _seconds_per_step(job: TrainingJob, scale: Scale, opening: Opening, stop: Stop) -> float | None:
    """Seconds per step of one scale, from a trial run in a temporary folder."""
    endless = {"schedule": Single(scale=scale), "steps": 1_000_000, "save_minutes": 1e6}
    watch = _Stopwatch(unequal=bool(job.recipe.adversarial and job.recipe.adversarial.views))
    job.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.folder) as trial_folder:
        trial = replace(
            job,
            recipe=job.recipe.model_copy(update=endless),
            folder=Path(trial_folder),
            validation=None,
        )
        session = prepare(trial, opening)
        train(session, watch, lambda: stop() or watch.enough())
    return watch.seconds if watch.enough() else None

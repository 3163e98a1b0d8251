"""Minutes turned into steps before a run begins, so that nothing inside it knows a clock."""

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
from prosr.lab.plan import Plan
from prosr.layouts import Frozen
from prosr.scales import Scale
from prosr.training.curriculum import scale_at, shares
from prosr.training.loop import train
from prosr.training.objectives import StepResult
from prosr.training.session import TrainingJob, prepare

Stop = Callable[[], bool]
Opening = Callable[[int, int], None]

WARM_UP = 2
"""Steps that are not timed: the first ones load kernels and start workers."""

LEAST, MOST, SECONDS = 8, 400, 20.0
"""Steps timed at each scale: at least the first number, then until one of the others."""


class Budget(Frozen):
    """What a cell's steps were made from: the seconds that a step of each scale takes.

    `recipe` has the plan's first seed; the runs of the other seeds have the same steps.
    """

    minutes: float
    seconds: dict[int, float]
    recipe: Recipe

    def seconds_until(self, step: int, recipe: Recipe) -> float:
        """The time of the first steps of a run, as they were timed, whatever ran beside it."""
        return round(sum(self.seconds[scale_at(s, recipe)] for s in range(step)), 1)


_BUDGETS = TypeAdapter(dict[str, Budget])


def steps_within(minutes: float, recipe: Recipe, seconds: Mapping[int, float]) -> int:
    """Steps whose expected time is `minutes`, at least one."""
    step = sum(share * seconds[scale] for scale, share in shares(recipe).items())
    return max(1, round(60 * minutes / step))


def read_budgets(folder: Path) -> dict[str, Budget]:
    """The budgets that were measured so far, kept in `folder` with what their runs gave."""
    path = folder / "budgets.json"
    try:
        return _BUDGETS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path}: not readable; use another --output folder") from error


def settled_steps(plan: Plan, cell: str, folder: Path) -> int | None:
    """The steps of a cell's runs, or None if they are still to be measured.

    Raises `ConfigError` if they were measured for another plan.
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


def measure(
    plan: Plan, cell: str, folder: Path, job: TrainingJob, opening: Opening, stop: Stop
) -> int | None:
    """Time some steps of each scale, and keep the steps that follow; None if stopped before.

    `job` is one of the cell's runs; how many steps its recipe has does not matter. What is
    found is kept in `folder`, for `settled_steps`. `opening` is told of pictures opened.
    """
    assert plan.minutes is not None, "a plan without steps has minutes"
    seconds: dict[int, float] = {}
    for scale in job.recipe.scales:
        taken = _seconds_of_a_step(job, scale, opening, stop)
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
    """Watches steps, which take `unequal` times or not, and knows when enough are done."""

    def __init__(self, unequal: bool = False) -> None:
        self.ends: list[float] = []
        self._unequal = unequal

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        self.ends.append(time.monotonic())

    def skipped(self, step: int, reason: str) -> None:
        self.ends.append(time.monotonic())

    def validated(self, step: int, psnr: dict[Scale, float], best: bool) -> None:
        """A validation is not timed, and there is none."""

    @property
    def timed(self) -> list[float]:
        ends = self.ends[WARM_UP:]
        return [end - start for start, end in pairwise(ends)]

    @property
    def seconds(self) -> float:
        """Lower quartile of a step's time; the median of steps that are not alike.

        Whatever else the machine does makes steps slower, never faster: most of them may
        be disturbed.
        """
        return quantiles(self.timed)[1 if self._unequal else 0]

    def enough(self) -> bool:
        timed = self.timed
        return len(timed) >= MOST or (len(timed) >= LEAST and sum(timed) > SECONDS)


def _seconds_of_a_step(
    job: TrainingJob, scale: Scale, opening: Opening, stop: Stop
) -> float | None:
    """Time of a step of one scale, by training for a while in a folder thrown away."""
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

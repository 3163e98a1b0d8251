"""The output of `prosr train --dry-run`: the schedule, and the cost of a step at each scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from prosr.config import Recipe
    from prosr.training.forecast import Forecast, Phase, StepCost

_ROUNDS = 3
"""Steps measured at each scale."""


def show_forecast(recipe: Recipe) -> None:
    """Measure a few steps, and print the schedule and the cost of training."""
    from prosr.cli.tables import status_line
    from prosr.training.forecast import forecast

    with status_line() as tell:
        expected = forecast(recipe, _ROUNDS, tell)
    console = Console()
    console.print(_schedule(expected.phases))
    work = "GFLOP of the generator" if recipe.adversarial else "GFLOP"
    console.print(_costs(expected.steps, work))
    for line in _summary(recipe, expected):
        console.print(line, highlight=False, soft_wrap=True)


def _schedule(phases: tuple[Phase, ...]) -> Table:
    table = Table(title="schedule")
    for name in ("steps", "open scales", "alpha", "learning rate"):
        table.add_column(name)
    for phase in phases:
        table.add_row(
            f"{phase.first:,} to {phase.last:,}",
            " ".join(f"×{scale}" for scale in phase.scales),
            _span(*phase.alpha, ".2f"),
            _span(*phase.rate, ".2e"),
        )
    return table


def _costs(steps: tuple[StepCost, ...], work: str) -> Table:
    table = Table(title="one step on this machine")
    for name in ("scale", "patch of x", "share", work, "seconds", "memory (GB)"):
        table.add_column(name, justify="right")
    for step in steps:
        table.add_row(
            f"×{step.scale}",
            f"{step.patch}×{step.patch}",
            f"{step.share:.0%}",
            f"{2e-9 * step.macs:.1f}",
            f"{step.seconds:.3f}",
            f"{step.memory / 1e9:.2f}",
        )
    return table


def _summary(recipe: Recipe, expected: Forecast) -> list[str]:
    hours = expected.seconds(recipe) / 3600
    memory = max(step.memory for step in expected.steps) / 1e9
    return [
        f"{recipe.model}: {expected.parameters:,} parameters, batches of {recipe.batch}",
        f"{recipe.steps:,} steps: about {hours:.2g} hours in one process, without scoring; "
        f"{memory:.2f} GB",
        "nothing was started; to train, run the command without --dry-run",
    ]


def _span(first: float, last: float, digits: str) -> str:
    a, b = f"{first:{digits}}", f"{last:{digits}}"
    return a if a == b else f"{a} → {b}"

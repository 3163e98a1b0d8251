"""The output of `prosr train --dry-run`: the schedule, and the cost of a step at each scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Column, Table

from prosr.cli.tables import print_tables, status_line

if TYPE_CHECKING:
    from prosr.config import Recipe


def show_forecast(recipe: Recipe) -> None:
    """Measure three steps of each scale; print the schedule and the cost of training."""
    from prosr.nets.build import build
    from prosr.training.curriculum import learning_rate_at, phases, stage_at
    from prosr.training.steps import measure_steps

    with status_line() as tell:
        costs = measure_steps(recipe, 3, tell)
    schedule = Table("steps", "open scales", "alpha", "learning rate", title="schedule")
    for phase in phases(recipe):
        first, last = stage_at(phase[0], recipe), stage_at(phase[-1], recipe)
        schedule.add_row(
            f"{phase[0]:,} to {phase[-1]:,}",
            " ".join(f"×{scale}" for scale in first.scales),
            _span(first.alpha, last.alpha, ".2f"),
            _span(learning_rate_at(phase[0], recipe), learning_rate_at(phase[-1], recipe), ".2e"),
        )
    work = "GFLOP of the generator" if recipe.adversarial else "GFLOP"
    columns = ("scale", "patch of x", "share", work, "seconds", "memory (GB)")
    table = Table(*(Column(name, justify="right") for name in columns))
    table.title = "one step on this machine"
    for cost in costs:
        table.add_row(
            f"×{cost.work.scale}",
            f"{cost.work.patch}×{cost.work.patch}",
            f"{cost.share:.0%}",
            f"{2e-9 * cost.work.macs:.1f}",
            f"{cost.seconds:.3f}",
            f"{cost.memory / 1e9:.2f}",
        )
    print_tables([schedule, table])
    parameters = build(recipe.net).parameter_count(recipe.net.scales[-1])
    hours = recipe.steps * sum(cost.share * cost.seconds for cost in costs) / 3600
    memory = max(cost.memory for cost in costs) / 1e9
    typer.echo(f"{recipe.model}: {parameters:,} parameters, batches of {recipe.batch}")
    typer.echo(
        f"{recipe.steps:,} steps: about {hours:.2g} hours in one process, without scoring; "
        f"{memory:.2f} GB"
    )
    typer.echo("nothing was started; to train, run the command without --dry-run")


def _span(first: float, last: float, digits: str) -> str:
    a, b = f"{first:{digits}}", f"{last:{digits}}"
    return a if a == b else f"{a} → {b}"

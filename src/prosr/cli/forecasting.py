"""The output of `prosr train --dry-run`: the schedule, and the cost of a step at each scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Column, Table

from prosr.cli.signals import signals_wait
from prosr.cli.tables import print_tables, status_line

if TYPE_CHECKING:
    from prosr.config import Recipe


def show_forecast(recipe: Recipe) -> None:
    """Measure three steps of each scale; print the schedule and the cost of training."""
    with signals_wait():
        from prosr.inference.memory import peak_memory
        from prosr.lab.steps import measure_steps
        from prosr.nets.build import build
        from prosr.training.curriculum import learning_rate_at, phases, shares, stage_at

    with status_line() as tell:
        steps = measure_steps(recipe, 3, tell)
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
    columns = ("scale", "patch of x", "share", work, "seconds")
    table = Table(*(Column(name, justify="right") for name in columns))
    table.title = "one step on this machine"
    share = shares(recipe)
    for step, seconds in steps:
        table.add_row(
            f"×{step.scale}",
            f"{step.patch}×{step.patch}",
            f"{share[step.scale]:.0%}",
            f"{2e-9 * step.macs:.1f}",
            f"{seconds:.3f}",
        )
    print_tables([schedule, table])
    parameters = build(recipe.net).parameter_count(recipe.net.scales[-1])
    hours = recipe.steps * sum(share[step.scale] * each for step, each in steps) / 3600
    peak = peak_memory()
    memory = f"; {peak / 1e9:.2f} GB" if peak else ""
    typer.echo(f"{recipe.model}: {parameters:,} parameters, batches of {recipe.batch}")
    typer.echo(
        f"{recipe.steps:,} steps: about {hours:.2g} hours in one process, without scoring{memory}"
    )
    typer.echo("nothing was started; to train, run the command without --dry-run")


def _span(first: float, last: float, digits: str) -> str:
    a, b = f"{first:{digits}}", f"{last:{digits}}"
    return a if a == b else f"{a} → {b}"

"""`prosr info`: what a model is, costs, has learnt from and scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prosr.timing.facts import Facts


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A preset or a weights file.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.json...",
            help="More results to find the model's scores in.",
        ),
    ] = None,
) -> None:
    """Show a model's layout, parameters, costs, training and scores.

    GFLOP are for a megapixel of the enlarged picture, the radius is in pixels of the input.
    """
    from rich.console import Console
    from rich.table import Table

    from prosr.evaluation.tables import to_rich
    from prosr.timing.facts import facts

    found = facts(model, results or [])
    console = Console()
    layout = found.weights.config.model_dump(exclude_none=True).items()
    lines = [f"{found.name}: {found.parameters:,} parameters", *(f"  {k} = {v}" for k, v in layout)]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    table = Table()
    for name in ("scale", "parameters", "GFLOP per megapixel", "radius"):
        table.add_column(name, justify="right")
    for one in found.scales:
        table.add_row(f"×{one.scale}", f"{one.parameters:,}", f"{one.gflop:.0f}", str(one.radius))
    console.print(table)
    for line in _training(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for scores in to_rich(found.scores, beside=()):
        console.print(scores)


def _training(found: Facts) -> list[str]:
    sha256, card = found.weights.sha256, found.weights.card
    if not card:
        return ["its file has no model card" if sha256 else "no weights come with it"]
    lines = [f"weights {sha256}"]
    for name, value in card.items():
        if name == "recipe":
            value = ", ".join(f"{key} = {setting}" for key, setting in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        lines.append(f"{name}: {value}")
    return lines

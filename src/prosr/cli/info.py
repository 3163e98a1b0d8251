"""`prosr info`: what a model is, costs, has learnt from and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prosr.evaluation.facts import Facts


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

    from prosr.cli.measuring import show
    from prosr.errors import printable
    from prosr.evaluation.facts import facts
    from prosr.evaluation.tables import to_rich

    found = facts(model, results or [])
    console = Console()
    layout = found.weights.config.model_dump(exclude_none=True).items()
    lines = [f"{found.name}: {found.parameters:,} parameters", *(f"  {k} = {v}" for k, v in layout)]
    for line in map(printable, lines):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    table = Table()
    for name in ("scale", "parameters", "GFLOP per megapixel", "radius"):
        table.add_column(name, justify="right")
    for one in found.scales:
        table.add_row(f"×{one.scale}", f"{one.parameters:,}", f"{one.gflop:.0f}", str(one.radius))
    console.print(table)
    for line in map(printable, _training(found)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    show(to_rich(found.scores, timed=False))


def _training(found: Facts) -> list[str]:
    sha256, card = found.weights.sha256, found.weights.card
    if not found.parameters:
        return ["it needs no weights"]
    if not sha256:
        return [
            "no weights come with it; train it, or see whether `prosr convert` has a file to read"
        ]
    if not card:
        return ["its file has no model card"]
    return [f"weights {sha256}", *(f"{name}: {_plain(value)}" for name, value in card.items())]


def _plain(value: object) -> str:
    """A card's value as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} = {setting}" for key, setting in _flat(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _flat(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The settings in a table and its tables, with dots in their names; unset ones left out."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", setting) for inner, setting in _flat(value))
        elif value is not None:
            yield key, value

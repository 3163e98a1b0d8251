"""`prosr info`: layout, parameters, costs, training and scores of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from prosr.checkpoints.weights import Weights
    from prosr.evaluation.results import ScoreRow


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A preset or a weights file.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.json...",
            help="More results files to find the model's scores in.",
        ),
    ] = None,
) -> None:
    """Show a model's layout, parameters, costs, training and scores.

    GFLOP are per megapixel of output; the receptive radius is in pixels of the input.
    """
    from prosr.checkpoints.weights import find_or_build
    from prosr.cli.tables import print_tables, score_tables
    from prosr.errors import printable

    weights = find_or_build(model)
    parameters = sum(parameter.numel() for parameter in weights.net.parameters())
    scores = model_scores(weights, results or [])
    layout = weights.net.layout.model_dump(exclude_none=True).items()
    lines = [f"{weights.name}: {parameters:,} parameters", *(f"  {k} = {v}" for k, v in layout)]
    for line in map(printable, lines):
        typer.echo(line)
    print_tables([_costs(weights)])
    for line in map(printable, _training(weights, parameters)):
        typer.echo(line)
    print_tables(score_tables(scores, timed=False))


def model_scores(weights: Weights, results: list[Path]) -> list[ScoreRow]:
    """Scores of the same weights, from the package and from the files `results`.

    Rows without weights, those of the bicubic, are found by the model's name.
    """
    from prosr.evaluation.results import known_results, merge, read_results

    def is_its(row: ScoreRow) -> bool:
        if row.weights is None:
            return row.model == weights.name
        return row.weights == weights.sha256

    own = (row for path in results for row in read_results(path))
    return merge(filter(is_its, known_results()), filter(is_its, own))


def _costs(weights: Weights) -> Table:
    """Parameters that training up to a scale trains, GFLOP per output megapixel, and radius."""
    from rich.table import Column, Table

    from prosr.nets.cost import trace

    columns = ("scale", "parameters", "GFLOP per megapixel", "radius")
    table = Table(*(Column(name, justify="right") for name in columns))
    for scale in weights.net.scales:
        cost, count = trace(weights.net, scale), weights.net.parameter_count(scale)
        gflop = 2e-3 * cost.macs / scale**2
        table.add_row(f"×{scale}", f"{count:,}", f"{gflop:.0f}", str(cost.radius))
    return table


def _training(weights: Weights, parameters: int) -> list[str]:
    if not parameters:
        return ["it needs no weights"]
    if not weights.sha256:
        return ["it comes without weights; train it, or convert a released file: prosr convert"]
    if not weights.card:
        return ["its file has no model card"]
    card = (f"{name}: {_plain(value)}" for name, value in weights.card.items())
    return [f"weights {weights.sha256}", *card]


def _plain(value: object) -> str:
    """A value of a model card as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} = {setting}" for key, setting in _flat(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _flat(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Settings of nested tables with dotted names, without unset ones."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", setting) for inner, setting in _flat(value))
        elif value is not None:
            yield key, value

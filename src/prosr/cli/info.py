"""`prosr info`: layout, parameters, costs, training and scores of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from prosr.checkpoints.weights import Weights
    from prosr.evaluation.results import ScoreRow
    from prosr.models import WeightsFile


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, or a weights file.")],
) -> None:
    """Show a model's layout, parameters, costs, training and scores.

    GFLOP are per megapixel of output; the receptive radius is in pixels of the input. Costs need
    the extra "train".
    """
    from prosr.cli.tables import print_tables, score_tables
    from prosr.errors import printable
    from prosr.models import find_weights, is_foreign

    weights: Weights | WeightsFile
    costs = []
    if find_spec("torch") or is_foreign(model):
        from prosr.checkpoints.finding import find_or_build

        weights = find_or_build(model)
        layout = weights.net.layout.model_dump(exclude_none=True)
        parameters = sum(parameter.numel() for parameter in weights.net.parameters())
        costs = [_costs(weights)]
    else:
        weights = find_weights(model)
        layout = weights.layout
        parameters = sum(value.size for value in weights.tensors.values())
    shape = (f"  {key} = {value}" for key, value in layout.items())
    for line in map(printable, (f"{weights.name}: {parameters:,} parameters", *shape)):
        typer.echo(line)
    print_tables(costs)
    for line in map(printable, _training(weights, parameters)):
        typer.echo(line)
    print_tables(score_tables(model_scores(weights), timed=False))


def model_scores(weights: Weights | WeightsFile) -> list[ScoreRow]:
    """The package's scores of the same weights; of the bicubic, by its name."""
    from prosr.evaluation.results import known_results

    wanted = weights.sha256 or weights.name
    return [row for row in known_results() if (row.weights or row.model) == wanted]


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


def _training(weights: Weights | WeightsFile, parameters: int) -> Iterator[str]:
    if not parameters:
        yield "it needs no weights"
    elif not weights.sha256:
        yield "it comes without weights; train it, or give a file of weights"
    elif not weights.card:
        yield "its file has no model card"
    else:
        yield f"weights {weights.sha256}"
        for name, value in weights.card.items():
            plain = isinstance(value, str)
            text = value if plain else json.dumps(value, ensure_ascii=False, allow_nan=False)
            yield f"{name}: {text}"

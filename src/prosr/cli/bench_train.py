"""`prosr bench train`: what a training step takes, and what makes it faster."""

from __future__ import annotations

from typing import Annotated

import typer

from prosr.cli.options import Rounds, RowsFile


def train(
    model: Annotated[str, typer.Option(metavar="NAME", help="Preset to train.")] = "prosr-xs",
    scale: Annotated[int, typer.Option(metavar="2|4|8", help="Scale of the step.")] = 2,
    patch: Annotated[int, typer.Option(min=2, help="Side of the input's patches.")] = 48,
    batch: Annotated[int, typer.Option(min=1, help="Patches in a step.")] = 8,
    rounds: Rounds = 15,
    output: RowsFile = None,
) -> None:
    """Time a training step, plain and with each thing that might make it faster.

    The plain step is float32, contiguous and eager, with PyTorch's own settings. With it:
    the machine's peak in products of matrices, and the share of its time that a training
    with one worker waits for data.
    """
    from prosr.cli.measuring import present, telling
    from prosr.config import Recipe, Single
    from prosr.scales import check_scale
    from prosr.training.steps import Work, time_steps

    single = Single(scale=check_scale(scale))
    recipe = Recipe(model=model, steps=1, batch=batch, patch=(patch,) * 3, schedule=single, clip=1)
    work = Work(recipe, single.scale)
    with telling() as tell:
        rows, notes = time_steps(work, rounds, tell)
    present(rows, output)
    for note in notes:
        typer.echo(note)

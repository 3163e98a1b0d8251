"""`prosr convert`: convert a released file to a prosr weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.options import Overwrite, check_output


def convert(
    source: Annotated[Path, typer.Argument(metavar="RELEASED", help="Released file to read.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT.safetensors", help="Weights file to write.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Convert released weights to a weights file.

    Reads ProSR's .pth, LapSRN's and MS-LapSRN's .mat and VDSR's .safetensors.
    Nothing in the file is executed: a file that asks for more than tensors and
    options is refused. Give the result as --model.

    Example: prosr convert proSR.pth prosr-l.safetensors
    """
    from prosr.checkpoints.foreign import SUFFIXES, read_foreign
    from prosr.checkpoints.weights import save_weights
    from prosr.errors import CheckpointError

    # Check everything possible before reading the file.
    if source.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f"{source}: cannot be converted; give a {', '.join(SUFFIXES)} file")
    check_output(output, ".safetensors", overwrite)

    released = read_foreign(source)
    count = sum(parameter.numel() for parameter in released.net.parameters())
    tensors = len(released.net.state_dict())
    typer.echo(f"{source}: {released.name}, {tensors} tensors, {count:,} parameters")
    digest = save_weights(output, released.net, released.card)
    typer.echo(f"{output}: written, weights hash {digest}")

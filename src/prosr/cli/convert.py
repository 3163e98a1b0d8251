"""`prosr convert`: a released file becomes a weights file of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.options import Overwrite


def convert(
    source: Annotated[Path, typer.Argument(metavar="RELEASED", help="The file to read.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT.safetensors", help="The weights file to write.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Turn a released checkpoint into a weights file.

    Takes ProSR's .pth, LapSRN's and MS-LapSRN's .mat and VDSR's .safetensors.
    Nothing in the file is executed: a pickle that asks for more than tensors
    and options is refused. The result is given as --model.

    Example: prosr convert proSR.pth prosr-l.safetensors
    """
    from prosr import checkpoints
    from prosr.checkpoints.weights import save_weights
    from prosr.errors import CheckpointError

    # Everything that can be refused is, before the file is read.
    if source.suffix.lower() not in checkpoints.ALL_SUFFIXES:
        known = ", ".join(checkpoints.ALL_SUFFIXES)
        raise CheckpointError(f"{source}: not a kind of file that is converted ({known})")
    if output.suffix != ".safetensors":
        raise CheckpointError(f"{output}: the output's name must end in .safetensors")
    if output.exists() and not overwrite:
        raise CheckpointError(f"{output}: exists already; replace it with --overwrite")

    released = checkpoints.read_any(source)
    typer.echo(
        f"{source}: {released.name}, {released.tensors} tensors, {released.parameters:,} parameters"
    )
    digest = save_weights(output, released.net, released.config, released.card(source.name))
    typer.echo(f"{output}: written, weights hash {digest}")

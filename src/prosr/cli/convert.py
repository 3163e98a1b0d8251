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

    Reads ProSR's .pth, LapSRN's and MS-LapSRN's .mat and VDSR's .safetensors. Nothing in the file
    is executed: a file that asks for more than tensors and options is refused. The result has a
    model card. --model takes the released file itself, too.

    Example: prosr convert proSR.pth prosr-l.safetensors
    """
    from prosr.checkpoints.community import Community
    from prosr.checkpoints.finding import find
    from prosr.checkpoints.weights import save_weights
    from prosr.errors import CheckpointError
    from prosr.models import is_foreign

    check_output(output, ".safetensors", overwrite)
    released = find(source)
    if not is_foreign(source) or isinstance(released.net, Community):
        raise CheckpointError(f"{source}: needs no conversion; give it as --model")
    count = sum(parameter.numel() for parameter in released.net.parameters())
    tensors = len(released.net.state_dict())
    typer.echo(f"{source}: {released.name}, {tensors} tensors, {count:,} parameters")
    digest = save_weights(output, released.net, released.card, overwrite)
    typer.echo(f"{output}: written, weights hash {digest}")

"""`prosr export`: a network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.options import Model, Overwrite

# fmt: off
Format = Annotated[str, typer.Option("--format", metavar="NAME", help="onnx or openvino.")]
Scale = Annotated[int, typer.Option(metavar="2|4|8", help="How many times larger.")]
Precision = Annotated[str, typer.Option(metavar="NAME", help="fp32 or fp16.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; MODEL_x4.onnx or .xml unless given.")]
# fmt: on


def export(
    model: Model,
    file_format: Format = "onnx",
    scale: Scale = 4,
    precision: Precision = "fp32",
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a network for one scale as ONNX or for OpenVINO.

    Height and width stay open. The file says its scale, halo, model and weights, and is
    compared with PyTorch after it is written. MODEL may have a strength: progansr-xs@0.7.

    Example: prosr export prosr-xs --format onnx --scale 4
    """
    from prosr.checkpoints.weights import find
    from prosr.errors import ConfigError
    from prosr.inference.exporting import export as write
    from prosr.inference.exporting import suffix_of
    from prosr.layouts import check_scale

    suffix = suffix_of(file_format)
    check_scale(scale)
    weights = find(model)
    target = output or Path(f"{weights.name}_x{scale}{suffix}")
    if target.suffix != suffix:
        raise ConfigError(f"{target}: the output's name must end in {suffix}")
    if target.exists() and not overwrite:
        raise ConfigError(f"{target}: exists already; replace it with --overwrite")
    metadata = write(weights, scale, file_format, precision, target)
    typer.echo(f"{target}: written, gives what PyTorch does; in it:")
    for key, value in metadata.items():
        typer.echo(f"  {key:14} {value}")

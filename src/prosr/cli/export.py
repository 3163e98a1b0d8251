"""`prosr export`: a network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from prosr.cli.options import Model, Overwrite, Scale, check_output

# fmt: off
Format = Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="onnx or openvino.")]
Precision = Annotated[Literal["fp32", "fp16"], typer.Option(help="Width of the values.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="File to write (default: MODEL_x4.onnx or .xml).")]
# fmt: on


def export(
    model: Model,
    file_format: Format = "onnx",
    scale: Scale = 4,
    precision: Precision = "fp32",
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a network for one scale to ONNX or OpenVINO.

    Height and width are dynamic. The file's metadata state scale, receptive radius, model and
    weights. The command runs the written file and compares it with PyTorch. MODEL may
    include a strength: progansr-xs@0.7. Needs the extra "train".

    Example: prosr export prosr-xs --format onnx --scale 4
    """
    from prosr.checkpoints.export import SUFFIXES
    from prosr.checkpoints.export import export as write
    from prosr.checkpoints.finding import find

    suffix = SUFFIXES[file_format]
    weights = find(model)
    target = output or Path(f"{weights.name}_x{scale}{suffix}")
    check_output(target, suffix, overwrite)
    metadata = write(weights, scale, file_format, precision, target, overwrite)
    typer.echo(f"{target}: written, computes the same as PyTorch; its metadata:")
    for key, value in metadata.items():
        typer.echo(f"  {key:16} {value}")

"""`prosr export`: a network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from prosr.cli.options import Model, Overwrite, check_output

# fmt: off
Format = Annotated[Literal["onnx", "openvino", "graphs"], typer.Option("--format", help="onnx, openvino, or graphs: what prosr itself runs.")]
Scale = Annotated[int, typer.Option(metavar="2|4|8", help="How many times larger.")]
Precision = Annotated[Literal["fp32", "fp16"], typer.Option(help="Width of the values.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="File to write (default: MODEL_x4.onnx or .xml); for graphs a folder.")]
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
    include a strength: progansr-xs@0.7. With --format graphs the command writes a weights file
    and a graph for each scale, as they are bundled. Needs the extra "train".

    Example: prosr export prosr-xs --format onnx --scale 4
    """
    from prosr.checkpoints.weights import find
    from prosr.scales import check_scale

    if file_format == "graphs":
        _export_graphs(model, output or Path(), overwrite)
        return
    from prosr.checkpoints.export import SUFFIXES
    from prosr.checkpoints.export import export as write

    suffix = SUFFIXES[file_format]
    check_scale(scale)
    weights = find(model)
    target = output or Path(f"{weights.name}_x{scale}{suffix}")
    check_output(target, suffix, overwrite)
    metadata = write(weights, scale, file_format, precision, target)
    typer.echo(f"{target}: written, computes the same as PyTorch; its metadata:")
    for key, value in metadata.items():
        typer.echo(f"  {key:16} {value}")


def _export_graphs(model: str, folder: Path, overwrite: bool) -> None:
    from prosr.checkpoints.graphs import export_weights
    from prosr.files import write_bytes
    from prosr.models import find_weights

    weights = find_weights(model)
    with TemporaryDirectory(prefix="prosr-") as temporary:
        export_weights(weights, Path(temporary))
        made = sorted(Path(temporary).iterdir())
        for path in made:
            check_output(folder / path.name, path.suffix, overwrite)
        for path in made:
            write_bytes(folder / path.name, path.read_bytes())
    typer.echo(f"{folder}: written: {', '.join(path.name for path in made)}")

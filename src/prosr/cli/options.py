"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# fmt: off
EngineOption = Annotated[str, typer.Option("--engine", metavar="NAME", help="What runs the network: auto, openvino, onnx or torch.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model, or a .safetensors file.")]
Sets = Annotated[list[Path], typer.Option("--set", metavar="DIR...", help="Folders of test pictures.")]
Scales = Annotated[list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Scales (default: all of the model).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace the output if it exists.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds in which all are measured in turn.")]
RowsFile = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Append the rows to this file, and write a Markdown table beside it.")]
EnsembleOption = Annotated[bool, typer.Option("--ensemble", metavar="", help="Average over 8 flips and rotations: slightly better, 8 times slower.")]
Data = Annotated[list[Path], typer.Option(metavar="DIR...", help="Folders of training pictures, searched recursively.")]
Strength = Annotated[float, typer.Option(metavar="0…1", help="How much texture a GAN such as progansr-xs invents, from 0 to 1.")]
MaxMinutes = Annotated[float | None, typer.Option(min=0, metavar="MINUTES", help="Save and stop after this time; the same command resumes.")]
Workers = Annotated[int, typer.Option(min=0, metavar="N", help="Processes that prepare batches.")]
# fmt: on

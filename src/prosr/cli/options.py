"""Options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EngineOption = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="auto, torch, openvino or onnx.")
]
# fmt: off
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model name or .safetensors file.")]
Sets = Annotated[list[Path], typer.Option("--set", metavar="DIR...", help="Folders of pictures to score on.")]
Scales = Annotated[list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Scales; all that a model has unless given.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace the output if it exists.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds in which all take turns.")]
RowsFile = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Add the rows to this file, and write Markdown beside it.")]
EnsembleOption = Annotated[bool, typer.Option("--ensemble", metavar="", help="Mean over 8 flips and turns: better, 8 times slower.")]
Data = Annotated[list[Path], typer.Option(metavar="DIR...", help="Folders of training pictures, searched recursively.")]
Strength = Annotated[float, typer.Option(metavar="0…1", help="How much a GAN such as progansr-xs invents: 0 nothing, 1 all that it can.")]
MaxMinutes = Annotated[float | None, typer.Option(min=0, metavar="MINUTES", help="Save and stop after this time; the same command goes on.")]
Workers = Annotated[int, typer.Option(min=0, metavar="N", help="Processes that prepare batches.")]
# fmt: on

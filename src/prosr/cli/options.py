"""Options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# fmt: off
EngineOption = Annotated[str, typer.Option("--engine", metavar="NAME", help="auto, torch, openvino or onnx.")]
EnsembleOption = Annotated[bool, typer.Option("--ensemble", metavar="", help="Mean over 8 flips and turns: better, 8 times slower.")]
RowsOutput = Annotated[Path | None, typer.Option("--output", metavar="FILE.json", help="Add the rows to this file, and write Markdown beside it.")]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Rounds in which all take turns.")]
# fmt: on

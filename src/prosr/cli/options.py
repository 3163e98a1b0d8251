"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

EngineOption = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="auto, torch, openvino or onnx.")
]
# fmt: off
EnsembleOption = Annotated[bool, typer.Option("--ensemble", metavar="", help="Mean over 8 flips and turns: better, 8 times slower.")]
# fmt: on

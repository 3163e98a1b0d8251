"""`prosr bench engines`: the same picture on every engine, and plainly."""

from __future__ import annotations

from typing import Annotated

import typer

from prosr.cli.options import Rounds, RowsFile

# fmt: off
Models = Annotated[list[str] | None, typer.Option("--models", metavar="MODEL...", help="Default: prosr-xs prosr-s prosr-l.")]
Sizes = Annotated[list[str] | None, typer.Option("--size", metavar="WxH...", help="Default: 128x128 520x520 4000x3000.")]
Scales = Annotated[list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Default: all three.")]
Engines = Annotated[list[str] | None, typer.Option("--engine", metavar="NAME...", help="Default: those installed.")]
Limit = Annotated[float, typer.Option(min=0, help="Seconds after which one gets no further round.")]
MaxMemory = Annotated[str, typer.Option(metavar="SIZE", help="Limit for each engine's process.")]
# fmt: on


def engines(
    models: Models = None,
    sizes: Sizes = None,
    scales: Scales = None,
    names: Engines = None,
    rounds: Rounds = 7,
    limit: Limit = 60.0,
    max_memory: MaxMemory = "2G",
    output: RowsFile = None,
) -> None:
    """Time engines on the same pictures, beside plain PyTorch and the machine's peak.

    Plain PyTorch is eager, in float32 and contiguous, and takes the picture as a whole. Each
    picture's rows are shown and kept when it is done.
    Example: prosr bench engines --models prosr-xs --size 520x520 --scale 4
    """
    from prosr.cli.measuring import present, telling
    from prosr.inference.engines import installed
    from prosr.inference.memory import parse_size
    from prosr.lab.rivals import Case, parse_picture, time_engines
    from prosr.scales import SCALES, check_scale

    memory = parse_size(max_memory)
    cases = [
        Case(model, check_scale(scale), *parse_picture(size), memory)
        for model in dict.fromkeys(models or ("prosr-xs", "prosr-s", "prosr-l"))
        for size in dict.fromkeys(sizes or ("128x128", "520x520", "4000x3000"))
        for scale in dict.fromkeys(scales or SCALES)
    ]
    for case in cases:
        with telling() as tell:
            rows = list(time_engines(case, names or installed(), rounds, limit, tell))
        present(rows, output)

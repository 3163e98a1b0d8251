"""`prosr bench models`: every system enlarging the pictures that the paper times."""

from __future__ import annotations

from typing import Annotated

import typer

from prosr.cli.options import Rounds, RowsFile


def models(
    names: Annotated[
        list[str] | None,
        typer.Option("--models", metavar="MODEL...", help="Presets (default: all)."),
    ] = None,
    sizes: Annotated[
        list[int] | None,
        typer.Option("--size", min=1, metavar="PIXELS...", help="Sides of the pictures."),
    ] = None,
    scales: Annotated[
        list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Scales.")
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="auto|torch|openvino|onnx", help="What computes.")
    ] = "auto",
    rounds: Rounds = 7,
    limit: Annotated[
        float, typer.Option(min=0, help="Seconds after which a model gets no further round.")
    ] = 30.0,
    memory: Annotated[
        bool, typer.Option(help="Measure peak memory too, in a fresh process each.")
    ] = True,
    output: RowsFile = None,
) -> None:
    """Time every model enlarging 128×128 by 4, and 520×520 by 2, 4 and 8.

    The networks are untrained, which changes no time.
    Example: prosr bench models --models prosr-xs edsr-baseline-x4 --size 128 --scale 4
    """
    from prosr.cli.measuring import present, telling
    from prosr.lab.models import CASES, Case, time_models
    from prosr.scales import check_scale

    cases: tuple[Case, ...] = CASES
    if sizes or scales:
        sides = dict.fromkeys(sizes or (case.side for case in CASES))
        wanted = dict.fromkeys(map(check_scale, scales or (case.scale for case in CASES)))
        cases = tuple(Case(side, scale) for side in sides for scale in wanted)
    with telling() as tell:
        rows = time_models(cases, names, engine, rounds, limit, memory, tell)
    present(rows, output)
    timed = {(row.case, row.subject) for row in rows}
    for case in cases:
        if lacking := [name for name in names or () if (str(case), name) not in timed]:
            typer.echo(f"without scale {case.scale}: {', '.join(lacking)}", err=True)

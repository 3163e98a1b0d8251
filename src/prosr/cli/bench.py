"""`prosr bench`: time and memory of engines, models and training steps on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prosr.cli.options import EngineOption, ListCommand, Rounds, RowsFile

if TYPE_CHECKING:
    from prosr.lab.measurements import TimingRow

app = typer.Typer(
    help="Measure time and memory on this machine, in alternating rounds.",
    no_args_is_help=True,
)

# fmt: off
Models = Annotated[list[str] | None, typer.Option("--models", metavar="MODEL...", help="Default: prosr-xs prosr-s prosr-l.")]
Sizes = Annotated[list[str] | None, typer.Option("--size", metavar="WxH...", help="Default: 128x128 520x520 4000x3000.")]
AllScales = Annotated[list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Default: all three.")]
Engines = Annotated[list[str] | None, typer.Option("--engine", metavar="NAME...", help="Default: those installed.")]
MaxMemory = Annotated[str, typer.Option(metavar="SIZE", help="Limit for each engine's process.")]
Presets = Annotated[list[str] | None, typer.Option("--models", metavar="MODEL...", help="Presets or weights files (default: all presets).")]
Sides = Annotated[list[int] | None, typer.Option("--size", min=1, metavar="PIXELS...", help="Sides of the pictures.")]
SomeScales = Annotated[list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Scales.")]
Limit = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Time after which an engine or model gets no further round.")]
Preset = Annotated[str, typer.Option(metavar="NAME", help="Preset to train.")]
StepScale = Annotated[int, typer.Option(metavar="2|4|8", help="Scale of the step.")]
Patch = Annotated[int, typer.Option(min=2, help="Side of the input's patches in pixels.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Patches in a step.")]
# fmt: on


@app.command(cls=ListCommand)
def engines(
    models: Models = None,
    sizes: Sizes = None,
    scales: AllScales = None,
    names: Engines = None,
    rounds: Rounds = 7,
    limit: Limit = 60.0,
    max_memory: MaxMemory = "2G",
    output: RowsFile = None,
) -> None:
    """Time engines on the same pictures, with plain PyTorch and the machine's peak speed.

    Plain PyTorch is eager, float32 and contiguous, and runs on the whole picture. The rows of
    each picture are printed and saved as soon as they are complete.
    Example: prosr bench engines --models prosr-xs --size 520x520 --scale 4
    """
    from prosr.cli.tables import status_line
    from prosr.inference.loading import installed
    from prosr.inference.memory import parse_size
    from prosr.lab.engines import EngineCase, parse_picture, time_engines
    from prosr.scales import SCALES, check_scale

    memory = parse_size(max_memory)
    cases = [
        EngineCase(model, check_scale(scale), *parse_picture(size), memory)
        for model in dict.fromkeys(models or ("prosr-xs", "prosr-s", "prosr-l"))
        for size in dict.fromkeys(sizes or ("128x128", "520x520", "4000x3000"))
        for scale in dict.fromkeys(scales or SCALES)
    ]
    for case in cases:
        with status_line() as tell:
            rows = list(time_engines(case, names or installed(), rounds, limit, tell))
        _present(rows, output)


@app.command(cls=ListCommand)
def models(
    names: Presets = None,
    sizes: Sides = None,
    scales: SomeScales = None,
    engine: EngineOption = "auto",
    rounds: Rounds = 7,
    limit: Limit = 30.0,
    output: RowsFile = None,
) -> None:
    """Time every model on 128×128 pixels at ×4, and on 520×520 at ×2, ×4 and ×8.

    Presets without weights get random ones, which does not change their time.
    Example: prosr bench models --models prosr-xs edsr-baseline-x4 --size 128 --scale 4
    """
    from prosr.cli.tables import status_line
    from prosr.lab.models import CASES, ModelCase, time_models, title
    from prosr.scales import check_scale

    cases: tuple[ModelCase, ...] = CASES
    if sizes or scales:
        sides = dict.fromkeys(sizes or (case.side for case in CASES))
        wanted = dict.fromkeys(map(check_scale, scales or (case.scale for case in CASES)))
        cases = tuple(ModelCase(side, scale) for side in sides for scale in wanted)
    with status_line() as tell:
        rows = time_models(cases, names, engine, rounds, limit, tell)
    _present(rows, output)
    timed = {(row.case, row.subject) for row in rows}
    for case in cases:
        if lacking := [name for name in names or () if (str(case), title(name)) not in timed]:
            typer.echo(f"without scale {case.scale}: {', '.join(lacking)}", err=True)


@app.command(cls=ListCommand)
def train(
    model: Preset = "prosr-xs",
    scale: StepScale = 2,
    patch: Patch = 48,
    batch: BatchSize = 8,
    rounds: Rounds = 15,
    output: RowsFile = None,
) -> None:
    """Time a training step, plain and with each change that makes it faster.

    The plain step is float32 and contiguous, with PyTorch's own settings. The table also
    shows the machine's peak speed in matrix products, and the fraction of time that training with
    one worker waits for data.
    """
    from prosr.cli.tables import status_line
    from prosr.config import Recipe, Single
    from prosr.lab.steps import StepWork, time_steps
    from prosr.scales import check_scale

    single = Single(scale=check_scale(scale))
    recipe = Recipe(model=model, steps=1, batch=batch, patch=(patch,) * 3, schedule=single, clip=1)
    with status_line() as tell:
        rows = time_steps(StepWork(recipe, single.scale), rounds, tell)
    _present(rows, output)


def _present(rows: Sequence[TimingRow], output: Path | None) -> None:
    """Print the rows as a table, and add them to `output`."""
    from prosr.lab.measurements import add_rows, to_markdown

    typer.echo(to_markdown(rows))
    if output is not None:
        add_rows(output, rows)

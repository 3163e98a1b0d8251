"""`prosr evaluate`: benchmark tables whose every number names its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.options import EngineOption, EnsembleOption, Scales, Sets

# fmt: off
Also = Annotated[list[str] | None, typer.Option(metavar="NAME...", help="More scores, less is better: colour, niqe, squeezenet=FILE, lpips, dists.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="Results file (JSON) to add the scores to.")]
Published = Annotated[bool, typer.Option("--published", metavar="", help="Show published figures beside the scores.")]
# fmt: on


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Model names, 'bicubic', or weights files; GANs at a strength as progansr-xs@0.7.",
        ),
    ],
    sets: Sets,
    scales: Scales = None,
    protocol: Annotated[
        str, typer.Option(metavar="NAME", help="How to score: paper, released or ntire.")
    ] = "paper",
    engine: EngineOption = "auto",
    ensemble: EnsembleOption = False,
    also: Also = None,
    output: Output = None,
    published: Published = False,
) -> None:
    """Score models on folders of pictures: PSNR, SSIM, consistency and time.

    Inputs are made from the pictures by bicubic reduction.
    The models stand before --set and --scale, which take all words that follow, or after
    "--". Example:

    prosr evaluate prosr-xs bicubic --set Set5 Set14 --scale 2 4
    """
    import prosr
    from prosr.cli.measuring import show
    from prosr.data.benchmarks import open_benchmark
    from prosr.evaluation.perceptual import find_scorers
    from prosr.evaluation.protocol import find_protocol
    from prosr.evaluation.results import check_results, save_results
    from prosr.evaluation.scoring import name_models, score_all
    from prosr.evaluation.tables import SYSTEMS, to_rich
    from prosr.inference.upscaler import SCORING_MEMORY
    from prosr.scales import choose_scales

    # Everything that can be refused is, before the first picture is enlarged.
    rules = find_protocol(protocol)
    benchmarks = [open_benchmark(folder) for folder in dict.fromkeys(sets)]
    scorers = find_scorers(also or [])
    load = partial(prosr.load, max_memory=SCORING_MEMORY, engine=engine, ensemble=ensemble)
    upscalers = name_models({model: load(model) for model in models})
    wanted = {
        name: choose_scales(name, upscaler.scales, scales or ())
        for name, upscaler in upscalers.items()
    }
    if output is not None:
        check_results(output)

    rows = []
    total = sum(len(benchmark.paths) for benchmark in benchmarks) * sum(map(len, wanted.values()))
    with _progress(total) as step:
        for row in score_all(upscalers, benchmarks, wanted, rules, step, scorers):
            rows.append(row)
            if output is not None:
                save_results(output, [row])
    show(to_rich(rows, beside=SYSTEMS if published else ()))


@contextmanager
def _progress(pictures: int) -> Iterator[Callable[[str], None]]:
    """Show a bar in a terminal; lend a function that says what the next picture done is of."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    task = bar.add_task("opening", total=pictures)
    with bar:
        yield lambda what: bar.update(task, description=what, advance=1)

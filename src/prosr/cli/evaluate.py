"""`prosr evaluate`: benchmark scores, each under a named protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prosr.cli.options import EngineOption, EnsembleOption, Scales, Sets

if TYPE_CHECKING:
    from prosr.inference.upscaler import Upscaler

# fmt: off
Models = Annotated[list[str], typer.Argument(metavar="MODEL", help="Model names, 'bicubic', or weights files; GANs at a strength as progansr-xs@0.7.")]
ProtocolName = Annotated[str, typer.Option(metavar="NAME", help="How to score: paper, released or ntire.")]
Degradations = Annotated[list[str] | None, typer.Option("--degradation", metavar="NAME...", help="Degrade the inputs first: jpeg-90, jpeg-75, jpeg-50, blur, noise, real-1, real-2, real-3; none keeps them.")]
Also = Annotated[list[str] | None, typer.Option(metavar="NAME...", help="More scores, lower is better: colour, niqe, squeezenet=FILE, lpips, dists.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="Results file (JSON) to add the scores to.")]
Published = Annotated[bool, typer.Option("--published", metavar="", help="Show published scores as well.")]
# fmt: on


def evaluate(
    models: Models,
    sets: Sets,
    scales: Scales = None,
    protocol: ProtocolName = "paper",
    degradations: Degradations = None,
    engine: EngineOption = "auto",
    ensemble: EnsembleOption = False,
    also: Also = None,
    output: Output = None,
    published: Published = False,
) -> None:
    """Score models on folders of pictures: PSNR, SSIM, consistency and time.

    Low-resolution inputs are made from the pictures by bicubic downscaling, and degraded as named.
    Write models before --set and --scale, which consume all words that follow, or after "--". Example:

    prosr evaluate prosr-xs bicubic --set Set5 Set14 --scale 2 4
    """
    from prosr.cli.tables import open_bars, print_tables, score_tables
    from prosr.data.benchmarks import open_benchmark
    from prosr.evaluation.perceptual import find_scorers
    from prosr.evaluation.protocol import find_protocol
    from prosr.evaluation.results import save_results
    from prosr.evaluation.scoring import SCORING_MEMORY, score_all
    from prosr.inference.loading import load
    from prosr.lab.published import PUBLISHED
    from prosr.scales import choose_scales

    # Check everything before upscaling the first picture.
    rules = [find_protocol(f"{protocol}+{name}") for name in degradations or ["none"]]
    benchmarks = [open_benchmark(folder) for folder in dict.fromkeys(sets)]
    scorers = find_scorers(also or [])
    opened = partial(load, max_memory=SCORING_MEMORY, engine=engine, ensemble=ensemble)
    upscalers = name_models({model: opened(model) for model in models})
    wanted = {
        name: choose_scales(name, sorted({*upscaler.scales, 3}), scales or upscaler.scales)
        for name, upscaler in upscalers.items()
    }
    if output is not None:
        save_results(output, [])

    rows = []
    pictures = sum(len(benchmark.paths) for benchmark in benchmarks)
    total = pictures * sum(map(len, wanted.values())) * len(rules)
    with open_bars() as bars:
        task = bars.add_task("opening", total=total)

        def step(what: str) -> None:
            bars.update(task, description=what, advance=1)

        for row in score_all(upscalers, benchmarks, wanted, rules, step, scorers):
            rows.append(row)
            if output is not None:
                save_results(output, [row])
    print_tables(score_tables(rows, PUBLISHED if published else ()))


def name_models(upscalers: Mapping[str, Upscaler]) -> dict[str, Upscaler]:
    """Turn a map from requests to models into one from unique names to models.

    Files of the same name, as training writes them, keep the paths that were requested.
    """
    names = Counter(upscaler.name for upscaler in upscalers.values())
    return {
        request + "+" * one.name.endswith("+") if names[one.name] > 1 else one.name: one
        for request, one in upscalers.items()
    }

"""`prosr train`: train a network by a recipe, or resume a run."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prosr.cli.options import Data, MaxMinutes, Workers
from prosr.cli.signals import signals_wait

if TYPE_CHECKING:
    from prosr.training.session import TrainingJob

# fmt: off
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="The network, its schedule and all settings.")]
RunFolder = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; the same command resumes it.")]
Validation = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of pictures to choose the best weights on.")]
Cache = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for decoded pictures (default: in the run's folder).")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe; repeatable.")]
Devices = Annotated[int, typer.Option(min=1, metavar="N", help="Training processes on this machine, one for each device.")]
Nodes = Annotated[int, typer.Option(min=1, metavar="N", help="Machines; each runs this command under torchrun or SLURM.")]
StartFrom = Annotated[Path | None, typer.Option(metavar="FILE|NAME", help="Weights file or model that a new run starts from.")]
OnNonfinite = Annotated[Literal["stop", "skip"], typer.Option(help="What to do when a loss or gradient is not finite.")]
CacheSize = Annotated[str, typer.Option(metavar="SIZE", help="Maximum size of --cache; least recently used pictures are removed.")]
DownloadFeatures = Annotated[bool, typer.Option("--download-features", metavar="", help="Download the recipe's feature file if it is missing; checked by its SHA-256.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Show the schedule and its cost in time and memory; start nothing.")]
# fmt: on


def train(
    recipe: RecipeFile,
    data: Data,
    run: RunFolder,
    validation: Validation = None,
    cache: Cache = None,
    max_minutes: MaxMinutes = None,
    settings: Settings = None,
    workers: Workers = 1,
    devices: Devices = 1,
    nodes: Nodes = 1,
    on_nonfinite: OnNonfinite = "stop",
    start_from: StartFrom = None,
    cache_size: CacheSize = "20G",
    download_features: DownloadFeatures = False,
    dry_run: DryRun = False,
) -> None:
    """Train a network by RECIPE.toml, or resume the run in the folder.

    Ctrl-C saves and stops. The averaged weights are RUN/best.safetensors (chosen on
    --validation) and RUN/last.safetensors. The log is RUN/log.jsonl and, for TensorBoard,
    RUN/tensorboard.
    """
    with signals_wait():
        from prosr.cli.forecasting import show_forecast
        from prosr.cli.launch import run_processes
        from prosr.config import load_recipe
        from prosr.inference.memory import parse_size

    loaded = load_recipe(recipe, settings or [])
    if dry_run:
        show_forecast(loaded)
        return
    if download_features and loaded.adversarial:
        with signals_wait():
            from prosr.checkpoints.features import download_missing
        download_missing(loaded.adversarial.features, loaded.adversarial.file)
    run_processes(devices, nodes)
    with signals_wait():
        from prosr.data.benchmarks import open_benchmark
        from prosr.training.session import TrainingJob

    job = TrainingJob(
        recipe=loaded,
        data=data,
        folder=run,
        cache=cache or run / "cache",
        validation=open_benchmark(validation) if validation else None,
        workers=workers,
        devices=devices,
        nodes=nodes,
        skip_nonfinite=on_nonfinite == "skip",
        start_from=start_from,
        cache_size=parse_size(cache_size),
    )
    _run(job, max_minutes)


def _run(job: TrainingJob, max_minutes: float | None) -> None:
    with signals_wait():
        from prosr.cli.console import stop_after, stop_on_signals, watch
        from prosr.cli.launch import is_first_process, is_orphaned
        from prosr.files import only_here
        from prosr.training.loop import train

    first = is_first_process()
    lock = only_here(job.folder) if first else nullcontext()
    with lock, watch(job, quiet=not first) as (session, display):
        run = session.run
        if job.validation is None:
            display.note("no --validation folder: there will be no best weights, only the last")
        with stop_on_signals() as interrupted:
            stop = stop_after(max_minutes, lambda: interrupted() or is_orphaned())
            train(session, display, stop, interrupted)
            if run.progress.skipped:
                display.note(f"{run.progress.skipped} steps diverged and were skipped")
            if run.finished:
                display.note(f"finished {run.recipe.steps} steps: {run.folder}")
                return
            display.note(f"stopped at step {run.progress.step}; run the same command to resume")
            if number := interrupted():
                raise typer.Exit(128 + number)

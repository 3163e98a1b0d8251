"""`prosr train`: train a network as a recipe says, or go on where it stopped."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prosr.cli.options import Data, MaxMinutes, Workers

if TYPE_CHECKING:
    from prosr.cli.console import TrainingDisplay
    from prosr.training.session import Job, Session

# fmt: off
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, and how.")]
RunFolder = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; the same command goes on from it.")]
Validation = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of pictures to choose the best weights on (none: no choice).")]
Cache = Annotated[Path | None, typer.Option(metavar="DIR", help="Where decoded pictures are kept (default: in the run's folder).")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe; repeatable.")]
Devices = Annotated[int, typer.Option(min=1, metavar="N", help="Training processes on this machine, one for each device.")]
Nodes = Annotated[int, typer.Option(min=1, metavar="N", help="Machines; each runs this command under torchrun or SLURM.")]
StartFrom = Annotated[Path | None, typer.Option(metavar="FILE|NAME", help="Weights file or model to begin a new run with.")]
OnNonfinite = Annotated[Literal["stop", "skip"], typer.Option(help="What to do when a loss or gradient is not finite.")]
CacheSize = Annotated[str, typer.Option(metavar="SIZE", help="Most that --cache may take; least recently used pictures go.")]
DownloadFeatures = Annotated[bool, typer.Option("--download-features", metavar="", help="Fetch the recipe's feature file where it is missing; checked by its SHA-256.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Show the schedule, and what it takes in time and memory; start nothing.")]
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
    """Train a network as RECIPE.toml says, or go on where the run stopped.

    Ctrl-C saves and stops. The averaged weights are in RUN/best.safetensors (chosen on
    --validation) and RUN/last.safetensors; the log is RUN/log.jsonl and, for TensorBoard,
    RUN/tensorboard.
    """
    from prosr.checkpoints.features import download_missing
    from prosr.cli.forecasting import show_forecast
    from prosr.cli.launch import needs_processes, run_processes
    from prosr.config import load_recipe
    from prosr.data.benchmarks import open_benchmark
    from prosr.evaluation.protocol import find_protocol
    from prosr.inference.memory import parse_size
    from prosr.training.session import Job

    settled = load_recipe(recipe, settings or [])
    if dry_run:
        show_forecast(settled)
        return
    if download_features and settled.adversarial:
        download_missing(settled.adversarial.features, settled.adversarial.file)
    if needs_processes(devices, nodes):
        run_processes(devices)
    job = Job(
        recipe=settled,
        data=data,
        folder=run,
        cache=cache or run / "cache",
        protocol=find_protocol("paper"),
        validation=open_benchmark(validation) if validation else None,
        workers=workers,
        devices=devices,
        nodes=nodes,
        skip_nonfinite=on_nonfinite == "skip",
        start_from=start_from,
        cache_size=parse_size(cache_size),
    )
    _run(job, max_minutes)


def _run(job: Job, max_minutes: float | None) -> None:
    from prosr.cli.console import TrainingDisplay
    from prosr.files import only_here
    from prosr.training.session import is_first_process, prepare

    first, steps = is_first_process(), job.recipe.steps
    lock = only_here(job.folder) if first else nullcontext()
    with lock, TrainingDisplay(steps, job.protocol.name, quiet=not first) as display:
        session = prepare(job, display.opening)
        if job.validation is None:
            display.note("no --validation folder: the last weights are all there will be")
        _go(session, display, max_minutes)


def _go(session: Session, display: TrainingDisplay, max_minutes: float | None) -> None:
    from prosr.cli.console import stop_on_signals
    from prosr.cli.launch import LOST, is_orphaned, is_watched
    from prosr.training.failures import LostError
    from prosr.training.session import stop_after

    for note in session.notes:
        display.note(note)
    run = session.run
    display.start(run.progress.step)
    with stop_on_signals() as interrupted:
        try:
            session.go(display, stop_after(max_minutes, lambda: interrupted() or is_orphaned()))
        except LostError:
            if is_watched():
                raise typer.Exit(LOST) from None
            raise
        if run.progress.skipped:
            display.note(f"{run.progress.skipped} steps diverged and were left out")
        if run.finished:
            display.note(f"finished {run.recipe.steps} steps: {run.folder}")
            return
        display.note(f"stopped at step {run.progress.step}; the same command goes on")
        if number := interrupted():
            raise typer.Exit(128 + number)

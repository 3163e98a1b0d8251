"""`prosr batch`: enlarge what a folder, a bucket or a manifest holds, on a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prosr.cli.options import EngineOption, EnsembleOption, Strength
from prosr.cli.signals import signals_wait
from prosr.cli.sizing import takes_request
from prosr.cli.upscale import DryRun, FileFormat, MaxMemory, Model, Overwrite, Quiet

# fmt: off
Source = Annotated[str, typer.Argument(metavar="SOURCE", show_default=False, help="Folder, file, zip, tar or manifest (.csv, .parquet): a path, or an address such as s3://bucket/folder.")]
Target = Annotated[str, typer.Option("--output", "-o", metavar="ADDRESS", show_default=False, help="Folder for results and their ledger: a path or an address.")]
Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Ray cluster (default: that of RAY_ADDRESS, else one of this machine alone).")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes that enlarge (default: one for every 4 cores).")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", metavar="", help="Take only those that have failed.")]
Status = Annotated[bool, typer.Option("--status", metavar="", help="Print what the ledger in SOURCE, an output, says; from any machine.")]


@takes_request
def batch(
    size: Any, source: Source, output: Target = "", model: Model = "prosr-xs", file_format: FileFormat = None,
    max_memory: MaxMemory = None, engine: EngineOption = "auto", ensemble: EnsembleOption = False, strength: Strength = 1.0,
    overwrite: Overwrite = False, dry_run: DryRun = False, quiet: Quiet = False,
    address: Address = None, workers: Workers = None, retry_failed: RetryFailed = False, status: Status = False,
) -> None:
    """Enlarge any number of pictures, each exactly once, on a Ray cluster (extra `cluster`)."""
    with signals_wait():
        from prosr.cluster import driver, entries, pipeline
        from prosr.inference.memory import parse_size

    def line(state: dict[str, Any]) -> str:
        return ", ".join(f"{round(value, 1):,} {name}" for name, value in state.items())

    def show(state: dict[str, float]) -> dict[str, float]:
        if not quiet and typer.get_text_stream("stderr").isatty():
            typer.echo(f"\r{line(state)}\033[K", nl=False, err=True)
        return state

    def tell(kind: str, reason: str) -> None:
        if kind != "made":
            typer.echo(f"{kind:8} {reason}", err=quiet)

    if status:
        records, state = driver.status_of(source)
        for record in records:
            tell(*record)
        return typer.echo(line({kind: sum(k == kind for k, _ in records) for kind, _ in records} | state))
    model = str(Path(model).absolute()) if Path(model).is_file() else model
    how = (size, model, file_format, engine.replace("auto", "openvino"), ensemble, strength, overwrite)
    run = driver.Driver(entries.BatchOptions(source, output, *how), retry_failed)
    if dry_run:
        return typer.echo(line({"planned": run.plan(), **run.counts}))
    run.run(pipeline.Cluster(address, workers, parse_size(max_memory) if max_memory else None).enlarge, tell, show)
    typer.echo(line(run.state()), err=quiet)
    raise typer.Exit(bool(run.counts.keys() & {"failed", "killed", "failed before"}))

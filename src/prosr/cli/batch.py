"""`prosr batch`: enlarge what a folder, a bucket or a manifest holds, on a Ray cluster."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from inspect import signature
from typing import Annotated, Any

import typer

from prosr.cli.signals import signals_wait
from prosr.cli.sizing import takes_request
from prosr.cli.upscale import upscale

# fmt: off
Source = Annotated[str, typer.Argument(metavar="SOURCE", show_default=False, help="Folder, file, zip, tar or manifest (.csv, .parquet): a path, or an address such as s3://bucket/folder.")]
Target = Annotated[str, typer.Option("--output", "-o", metavar="ADDRESS", show_default=False, help="Folder for results and their ledger: a path or an address.")]
Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Ray cluster (default: that of RAY_ADDRESS, else one of this machine alone).")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes that enlarge (default: one for every 4 cores).")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", metavar="", help="Take only those that have failed.")]
Status = Annotated[bool, typer.Option("--status", metavar="", help="Print what the ledger in SOURCE, an output, says; from any machine.")]
_SHARED = ("model", "file_format", "max_memory", "engine", "ensemble", "strength", "overwrite", "dry_run", "quiet")
# fmt: on


@partial(takes_request, shared={name: signature(upscale).parameters[name] for name in _SHARED})
def batch(
    size: Any,
    shared: dict[str, Any],
    source: Source,
    output: Target = "",
    address: Address = None,
    workers: Workers = None,
    retry_failed: RetryFailed = False,
    status: Status = False,
) -> None:
    """Enlarge any number of pictures, each exactly once, on a Ray cluster (extra `cluster`)."""
    with signals_wait():
        from prosr.cli.tables import status_line
        from prosr.cluster import driver, entries, ledger, pipeline

    dry_run, quiet = shared.pop("dry_run"), shared.pop("quiet")
    if status:
        typer.echo("\n".join(ledger.status_of(source)))
        return
    run = driver.Driver(entries.BatchOptions(source, output, size, **shared), retry_failed)
    if dry_run:
        typer.echo(ledger.described(run.plan()))
        return
    enlarge = pipeline.Cluster(address, workers).enlarge
    with status_line(quiet) as show, closing(run.run(enlarge)) as records:
        for record in records:
            show(ledger.described(run.state()))
            if record.status != "made":
                typer.echo(f"{record.status:8} {record.reason}", err=quiet)
    typer.echo(ledger.described(run.state()), err=quiet)
    raise typer.Exit(bool(run.counts.keys() & {"failed", "killed", "failed before"}))

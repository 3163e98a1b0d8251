"""`prosr bench`: what things cost on this machine, each kind of measurement in its module."""

from __future__ import annotations

import typer

from prosr.cli.arguments import ListCommand
from prosr.cli.bench_engines import engines
from prosr.cli.bench_models import models
from prosr.cli.bench_train import train

app = typer.Typer(
    help="Measure time and memory on this machine: what is compared takes turns, in one run.",
    no_args_is_help=True,
)
app.command("engines", cls=ListCommand)(engines)
app.command("models", cls=ListCommand)(models)
app.command("train", cls=ListCommand)(train)

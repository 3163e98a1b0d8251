"""`prosr --version` and `prosr help`: what is installed, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.resources import files
from typing import Annotated

import typer

LIBRARIES = ("numpy", "pyvips", "pyvips-binary", "openvino", "safetensors", "pydantic", "typer")
OPTIONAL = ("onnxruntime", "torch", "lightning-fabric", "onnx", "av", "nncf", "spandrel")


def print_version(context: typer.Context, wanted: bool) -> None:
    """Print the version and exit; with `--verbose` also what a bug report should state."""
    if not wanted:
        return
    from prosr.version import __version__

    typer.echo(f"prosr {__version__}")
    if context.params.get("verbose"):
        for name, fact in _facts():
            typer.echo(f"{name:16} {fact}")
    raise typer.Exit


def _facts() -> Iterator[tuple[str, str]]:
    """Name and value of everything installed that can change a result."""
    import platform

    from prosr.cache import cache_folder
    from prosr.evaluation.provenance import commit, machine
    from prosr.models import bundled_models, find_weights

    here = machine()
    yield "commit", commit() or "not a checkout"
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "processor", f"{here.cpu}, {here.cores} cores"
    installed = {found.name: found.version for found in distributions()}
    for name in (*LIBRARIES, *OPTIONAL):
        yield name, installed.get(name, "not installed")
    for name in bundled_models():
        yield name, find_weights(name).sha256 or "no parameters"
    yield "cache", str(cache_folder())


def show_help(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]", help="Such as upscale.")
    ] = None,
) -> None:
    """Show all commands, or how to use one: prosr help upscale. Also: prosr help errors."""
    assert context.parent is not None
    if command == ["errors"]:
        typer.echo((files("prosr") / "errors.md").read_text("utf-8"))
        raise typer.Exit
    context.parent.command.main([*(command or ()), "--help"], prog_name="prosr")

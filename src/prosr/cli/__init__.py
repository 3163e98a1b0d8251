"""The command line: parse, call, print.

Each verb is a function in the module of its name. It imports what it needs inside the
function, so that `--help` and usage errors are instant.

Exit codes: 0 all done, 1 some files failed or output was lost, 2 an impossible request,
70 a bug of ours, 129 hung up, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from math import inf
from time import monotonic
from types import FrameType
from typing import Annotated, NoReturn

import typer

from prosr.cli.about import print_version, show_help
from prosr.cli.batch import batch
from prosr.cli.bench import app as bench
from prosr.cli.comparison import ablate, compare
from prosr.cli.convert import convert
from prosr.cli.evaluate import evaluate
from prosr.cli.export import export
from prosr.cli.info import info
from prosr.cli.options import ListCommand
from prosr.cli.output import finish, prepare, say
from prosr.cli.quantize import quantize
from prosr.cli.serve import serve
from prosr.cli.signals import PATIENCE, heard
from prosr.cli.train import train
from prosr.cli.upscale import upscale
from prosr.errors import ProSRError, is_out_of_memory

_EXTRA = {
    **dict.fromkeys(("torch", "lightning_fabric", "tensorboard", "onnx"), "train"),
    **dict.fromkeys(("fastapi", "uvicorn", "prometheus_client"), "web"),
    **dict.fromkeys(("fsspec", "pyarrow", "ray"), "cluster"),
    **{"matplotlib": "plots", "av": "video", "nncf": "int8", "onnxruntime": "onnx"},
    "spandrel": "spandrel",
}
"""The extra of this package that installs an optional import."""

_ENDS = {129: "hung up", 130: "interrupted", 143: "terminated"}

app = typer.Typer(
    name="prosr",
    help="Enlarge pictures and clips with progressive super-resolution networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_verbs = (upscale, batch, evaluate, info, train, convert, export, quantize, ablate, compare, serve)
for _verb in _verbs:
    # Rich would keep the docstring's line breaks within paragraphs.
    _paragraphs = (inspect.getdoc(_verb) or "").split("\n\n")
    _help = "\n\n".join(" ".join(paragraph.split()) for paragraph in _paragraphs)
    app.command(_verb.__name__, cls=ListCommand, help=_help)(_verb)
app.add_typer(bench, name="bench")
app.command("help")(show_help)


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=print_version, help="Print the version."),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", metavar="", is_eager=True, help="--version for bug reports."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line on `sys.argv` and exit."""
    prepare()
    try:
        _end_in_order()
        app(args=sys.argv[1:], prog_name="prosr")
        code: int | str | None = 0
    except SystemExit as stop:
        code = stop.code
    except KeyboardInterrupt:
        code = 130
    except ProSRError as error:
        code = _fail(f"{error} [{type(error).__name__}]", 2)
    # A bug of ours is reported in one line. PROSR_DEBUG shows the traceback.
    except Exception as error:
        if os.environ.get("PROSR_DEBUG"):
            raise
        code = _explain(error)
    if code in _ENDS:
        say(_ENDS[code])
    sys.exit(finish(code))


def _end_in_order() -> None:
    """Make SIGTERM and SIGHUP raise, as Ctrl-C does, so that temporary files are removed.

    Signals that follow the first one shortly are ignored, so that they do not interrupt this
    cleanup.
    """
    ended = -inf

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        if monotonic() - ended < PATIENCE:
            return
        ended = monotonic()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    for number in heard():
        signal.signal(number, end)


def _explain(error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if extra := _EXTRA.get(package):
            return _fail(f"this needs {package}; install it with: pip install 'prosr[{extra}]'", 2)
    # A file that the system refuses is not a bug: its name may be too long.
    if isinstance(error, OSError) and error.filename:
        return _fail(f"{error.filename!s}: {error.strerror}", 2)
    if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
        return _fail("out of memory; give smaller pictures, batches, patches or layouts", 2)
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    return _fail(f"unexpected {summary} (for the traceback, run again with PROSR_DEBUG=1)", 70)


def _fail(message: str, code: int) -> int:
    say(f"error: {message}")
    return code

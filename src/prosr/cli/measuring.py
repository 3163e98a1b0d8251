"""What the measurements of `prosr bench` show: what is being measured, then a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from prosr.timing.rows import Row


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Lend a function that shows, in a terminal, what is being measured."""
    with Console(stderr=True).status("starting") as status:
        yield status.update


def present(rows: Sequence[Row], output: Path | None) -> None:
    """Print the rows as a table; write them to `output`, if given, and Markdown beside it."""
    from prosr.files import write_text
    from prosr.timing.rows import save_rows, to_markdown

    typer.echo(to_markdown(rows))
    if output is not None:
        save_rows(output, rows)
        write_text(output.with_suffix(".md"), to_markdown(rows) + "\n")

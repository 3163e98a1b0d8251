"""What measuring shows: what is being measured, then tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

    from prosr.lab.records import Row


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Lend a function that shows, in a terminal, what is being measured."""
    with Console(stderr=True).status("starting") as status:
        yield status.update


def show(tables: Iterable[Table]) -> None:
    """Print tables, beyond the terminal's width if need be.

    A line too long for the terminal can be read, a number cut short cannot.
    """
    console = Console()
    wide = console.options.update(width=1000)
    for table in tables:
        console.width = max(console.width, console.measure(table, options=wide).maximum)
        console.print(table)


def present(rows: Sequence[Row], output: Path | None) -> None:
    """Print the rows as a table; add them to `output`, if given, and write Markdown beside it.

    They go in place of rows of the same subjects in the same cases.
    """
    from prosr.files import write_text
    from prosr.lab.records import read_rows, save_rows, to_markdown

    typer.echo(to_markdown(rows))
    if output is not None:
        new = {(row.case, row.subject) for row in rows}
        old = read_rows(output) if output.exists() else []
        every = [*(row for row in old if (row.case, row.subject) not in new), *rows]
        save_rows(output, every)
        write_text(output.with_suffix(".md"), to_markdown(every) + "\n")

"""Tables of scores, progress bars and a status line for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import progress
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from prosr.evaluation.results import ScoreRow
    from prosr.lab.published import PublishedScores


@contextmanager
def status_line(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current state, if stderr is a terminal and not `quiet`."""
    with Console(stderr=True, quiet=quiet).status("starting") as status:
        yield status.update


def open_bars() -> progress.Progress:
    """Bars on standard error that disappear at the end; none unless it is a terminal."""
    console = Console(stderr=True)
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables, wider than the terminal if necessary.

    Wrapped lines are readable, truncated numbers are not.
    """
    console = Console()
    wide = console.options.update(width=1000)
    for table in tables:
        console.width = max(console.width, console.measure(table, options=wide).maximum)
        console.print(table)


def score_tables(
    rows: Sequence[ScoreRow], published: Sequence[PublishedScores] = (), timed: bool = True
) -> list[Table]:
    """One table for each protocol among `rows`, which its title names.

    `published` scores are added if they use the same protocol. Seconds are shown if `timed`, that
    is, if all rows are from one machine. Scores beyond PSNR and SSIM get their own table, because
    they do not fit into 80 columns.
    """
    from prosr.lab.tables import COLUMNS, by_protocol

    columns = COLUMNS if timed else COLUMNS[:-1]
    tables = [_table(name, some, columns, published) for name, some in by_protocol(rows)]
    more = [row for row in rows if row.also]
    names = list(dict.fromkeys(name for row in more for name in row.also))
    return tables + [_table(protocol, some, names) for protocol, some in by_protocol(more)]


def _table(
    protocol: str,
    rows: Sequence[ScoreRow],
    columns: Sequence[str],
    published: Sequence[PublishedScores] = (),
) -> Table:
    from prosr.evaluation.niqe import fitted_to
    from prosr.evaluation.protocol import find_protocol
    from prosr.lab.published import PROTOCOL
    from prosr.lab.tables import NOTHING, psnr_by_set, sorted_sets, values_of, worst_first

    title = f"protocol {find_protocol(protocol).describe()}"
    table = Table("set", "scale", "model", title=title)
    for column in columns:
        table.add_column(column, justify="right")
    measured = {(row.set, row.scale, row.model): row for row in rows}
    sets, psnr = sorted_sets(rows), psnr_by_set(rows)
    sources, scales = {}, {scale for scale, _ in psnr}
    for one in published:
        known = {name: db for name, db in one.psnr.items() if name in sets}
        if known and one.scale in scales and protocol == PROTOCOL:
            psnr[one.scale, f"{one.model} †"] = known
            sources[one.scale, f"{one.model} †"] = one.source
    order = worst_first(psnr)
    for set_name in sets:
        for scale, model in order:
            if (row := measured.get((set_name, scale, model))) is not None:
                values = values_of(row)
                cells = (values.get(name, NOTHING) for name in columns)
                table.add_row(set_name, f"×{scale}", model, *cells)
            elif set_name in psnr[scale, model]:
                text = f"{psnr[scale, model][set_name]:.2f}"
                table.add_row(set_name, f"×{scale}", model, text, style="dim")
        table.add_section()
    captions = [f"niqe: parameters of {fitted_to()}"] if "niqe" in columns else []
    if sources:
        texts = dict.fromkeys(sources[key] for key in order if key in sources)
        captions.append(f"† published figures: {'; '.join(texts)}")
    table.caption = "\n".join(captions) or None
    return table

"""Rows of measurements, the JSON files that keep them, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from prosr.errors import ConfigError
from prosr.evaluation.provenance import Machine, commit, machine
from prosr.evaluation.tables import NOTHING, markdown
from prosr.files import write_rows
from prosr.lab.rounds import Timing
from prosr.layouts import Frozen
from prosr.version import __version__


class Row(Frozen):
    """What one call of `subject` took in a `case` that others were given in turns with it.

    `seconds` is the median over `rounds`, `quartiles` hold the middle half. Of one call:
    `multiply_adds` (two floating-point operations each), the `pictures` it handles, the
    peak `memory` of a process in bytes; `parameters` are the network's, and `waiting` is
    the share of the time that a training waits for its batches. `megapixels` are the result's,
    `share` is of what a matrix product in the same precision reached beside it, `agreement`
    the PSNR in dB against the reference. `engine` is what computed, with its precision.
    """

    case: str
    subject: str
    seconds: float
    quartiles: tuple[float, float]
    best: float
    rounds: int
    multiply_adds: int | None = None
    pictures: int | None = None
    memory: int | None = None
    parameters: int | None = None
    waiting: float | None = None
    megapixels: float | None = None
    share: float | None = None
    agreement: float | None = None
    engine: str | None = None
    machine: Machine
    prosr: str
    commit: str | None

    @property
    def gflops(self) -> float | None:
        """10⁹ floating-point operations in a second."""
        return 2e-9 * self.multiply_adds / self.seconds if self.multiply_adds else None


def make_row(
    case: str,
    subject: str,
    timing: Timing,
    *,
    multiply_adds: int | None = None,
    pictures: int | None = None,
    memory: int | None = None,
    parameters: int | None = None,
) -> Row:
    """The row of a measurement just made by this process."""
    first, third = timing.quartiles
    return Row(
        case=case,
        subject=subject,
        seconds=round(timing.median, 6),
        quartiles=(round(first, 6), round(third, 6)),
        best=round(timing.best, 6),
        rounds=len(timing.seconds),
        machine=machine(),
        prosr=__version__,
        commit=commit(),
        multiply_adds=multiply_adds,
        pictures=pictures,
        memory=memory,
        parameters=parameters,
    )


_ROWS = TypeAdapter(list[Row])


def save_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows of one run, one a line, in place of `path`."""
    write_rows(path, (row.model_dump(mode="json") for row in rows))


def read_rows(path: Path) -> list[Row]:
    """Read what `save_rows` wrote; raises `ConfigError` for any other file."""
    try:
        return _ROWS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path}: not a file of measurements ({reason})") from error


Cell = Callable[[Row], str | None]

COLUMNS: dict[str, Cell] = {
    "case": lambda row: row.case,
    "subject": lambda row: row.subject,
    "engine": lambda row: row.engine,
    "seconds": lambda row: _digits(row.seconds),
    "middle half": lambda row: "–".join(map(_digits, row.quartiles)) if row.rounds > 1 else None,
    "rounds": lambda row: str(row.rounds),
    "pictures/s": lambda row: _digits(row.pictures / row.seconds) if row.pictures else None,
    "GFLOP": lambda row: _digits(2e-9 * row.multiply_adds) if row.multiply_adds else None,
    "GFLOP/s": lambda row: _digits(row.gflops) if row.gflops else None,
    "s/megapixel": lambda row: _digits(row.seconds / row.megapixels) if row.megapixels else None,
    "share of peak": lambda row: f"{row.share:.0%}" if row.share else None,
    "agreement (dB)": lambda row: f"{row.agreement:.0f}" if row.agreement else None,
    "peak memory (MB)": lambda row: f"{row.memory / 1e6:.0f}" if row.memory else None,
    "waiting": lambda row: None if row.waiting is None else f"{row.waiting:.1%}",
    "parameters": lambda row: f"{row.parameters:,}" if row.parameters else None,
}


def to_markdown(rows: Sequence[Row]) -> str:
    """The table, without columns that no row has anything for, with the machine below it."""
    filled = [name for name, cell in COLUMNS.items() if any(cell(row) for row in rows)]
    lines = [[COLUMNS[name](row) or NOTHING for name in filled] for row in rows]
    return f"{markdown(filled, lines, left=2)}\n\n{_describe(rows)}"


def _describe(rows: Sequence[Row]) -> str:
    here = dict.fromkeys(
        f"{row.machine.threads} threads on {row.machine.cores} cores of {row.machine.cpu}, "
        f"PyTorch {row.machine.torch}"
        for row in rows
    )
    return f"Medians over rounds in which all took turns; {'; '.join(here)}."


def _digits(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

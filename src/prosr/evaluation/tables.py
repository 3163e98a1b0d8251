"""From rows of scores to tables, in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.table import Table

from prosr.evaluation import published
from prosr.evaluation.niqe import fitted_to
from prosr.evaluation.protocol import PROTOCOLS, find_protocol
from prosr.evaluation.published import PUBLISHED
from prosr.evaluation.results import Row

USUAL_SETS = ("Set5", "Set14", "BSD100", "Urban100", "DIV2K")
SYSTEMS = tuple(dict.fromkeys(figures.model for figures in PUBLISHED))
NOTHING = "–"
USUAL = ("PSNR dB", "SSIM", "consistency dB", "seconds")


@dataclass(frozen=True)
class _Line:
    """One model at one scale: its PSNR on some sets, and how the cells print."""

    scale: int
    model: str
    psnr: dict[str, float]
    cells: dict[str, str]
    source: str | None = None


def to_markdown(rows: Sequence[Row], *, beside: Sequence[str] = SYSTEMS) -> str:
    """One table for each protocol among `rows`, with a caption that names it.

    Lines are models, columns sets, both in a fixed order: scales, then from worst to
    best. Published figures of the systems named in `beside`, all by default, are added in
    italics where the protocol is theirs.
    """
    return "\n\n".join(_markdown(name, some, beside) for name, some in _by_protocol(rows))


def to_rich(rows: Sequence[Row], *, beside: Sequence[str] = (), timed: bool = True) -> list[Table]:
    """One terminal table for each protocol among `rows`, its title naming it.

    Times are shown if they are `timed` alike, on one machine. What was measured beside PSNR
    and SSIM has a table of its own: 80 columns hold no more.
    """
    usual = USUAL if timed else USUAL[:-1]
    tables = [_rich(name, some, beside, usual) for name, some in _by_protocol(rows)]
    more = [row for row in rows if row.also]
    names = list(dict.fromkeys(name for row in more for name in row.also))
    return tables + [_rich(protocol, some, (), names) for protocol, some in _by_protocol(more)]


def _by_protocol(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    names = sorted({row.protocol for row in rows}, key=[*PROTOCOLS].index)
    return [(name, [row for row in rows if row.protocol == name]) for name in names]


def _markdown(protocol: str, rows: Sequence[Row], beside: Sequence[str]) -> str:
    sets = sorted_sets(rows)
    lines = _lines(protocol, rows, sets, beside)
    table = []
    for line in lines:
        model = f"*{line.model}*" if line.source else line.model
        table.append([f"×{line.scale}", model, *(line.cells.get(s, NOTHING) for s in sets)])
    caption = f"PSNR in dB / SSIM; protocol {find_protocol(protocol).describe()}."
    if sources := dict.fromkeys(line.source for line in lines if line.source):
        caption += f" In italics: figures as printed by others ({'; '.join(sources)})."
    return f"{markdown(['scale', 'model', *sets], table)}\n\n{caption}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], left: int | None = None) -> str:
    """A Markdown table.

    With `left` it is padded to be read as text, its columns after so many to the right.
    """
    rows = [head, ["---"] * len(head), *lines]
    if left is not None:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows[1] = ["-" * w if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
        forms = [f"{'<' if i < left else '>'}{w}" for i, w in enumerate(widths)]
        rows = [[format(*cell) for cell in zip(row, forms, strict=True)] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _rich(
    protocol: str, rows: Sequence[Row], beside: Sequence[str], measures: Sequence[str]
) -> Table:
    table = Table(title=f"protocol {find_protocol(protocol).describe()}")
    for column in ("set", "scale", "model"):
        table.add_column(column)
    for column in measures:
        table.add_column(column, justify="right")
    measured = {(row.set, row.scale, row.model): row for row in rows}
    sets = sorted_sets(rows)
    lines = _lines(protocol, rows, sets, beside)
    for set_name in sets:
        for line in lines:
            if set_name not in line.cells:
                continue
            place = (set_name, f"×{line.scale}", line.model)
            if line.source:
                psnr = f"{line.psnr[set_name]:.2f}"
                table.add_row(*place[:2], f"{line.model} †", psnr, style="dim")
            else:
                values = _values(measured[set_name, line.scale, line.model])
                table.add_row(*place, *(values.get(name, NOTHING) for name in measures))
        table.add_section()
    captions = [f"niqe: parameters of {fitted_to()}"] if "niqe" in measures else []
    if sources := dict.fromkeys(line.source for line in lines if line.source):
        captions.append(f"† published figures: {'; '.join(sources)}")
    table.caption = "\n".join(captions) or None
    return table


def _values(row: Row) -> dict[str, str]:
    known = {"PSNR dB": f"{row.psnr:.2f}", "seconds": f"{row.seconds:.2f}"}
    if row.ssim is not None:
        known["SSIM"] = f"{row.ssim:.4f}"
    if row.consistency is not None:
        known["consistency dB"] = f"{row.consistency:.2f}"
    return known | {name: f"{value:.4g}" for name, value in row.also.items()}


def _lines(
    protocol: str, rows: Iterable[Row], sets: Sequence[str], beside: Sequence[str]
) -> list[_Line]:
    lines: dict[tuple[int, str], _Line] = {}
    for row in rows:
        line = lines.setdefault((row.scale, row.model), _Line(row.scale, row.model, {}, {}))
        line.psnr[row.set] = row.psnr
        values = _values(row)
        line.cells[row.set] = " / ".join(values[k] for k in USUAL[:2] if k in values)
    scales = {scale for scale, _ in lines}
    everything = list(lines.values())
    for other in PUBLISHED if protocol == published.PROTOCOL else ():
        known = {name: db for name, db in other.psnr.items() if name in sets}
        if known and other.scale in scales and other.model in beside:
            cells = {name: f"{db:.2f}" for name, db in known.items()}
            everything.append(_Line(other.scale, other.model, known, cells, other.source))
    return [line for scale in sorted(scales) for line in _worst_first(everything, scale)]


def _worst_first(lines: Iterable[_Line], scale: int) -> list[_Line]:
    """Sort one scale's lines by mean PSNR over the sets that all of them have, if any."""
    chosen = [line for line in lines if line.scale == scale]
    common = set.intersection(*(set(line.psnr) for line in chosen))

    def quality(line: _Line) -> tuple[float, str]:
        return fmean(
            db for name, db in line.psnr.items() if not common or name in common
        ), line.model

    return sorted(chosen, key=quality)


def sorted_sets(rows: Iterable[Row]) -> list[str]:
    """The sets of rows, the usual ones first."""
    names = {row.set for row in rows}
    return [name for name in USUAL_SETS if name in names] + sorted(names - set(USUAL_SETS))

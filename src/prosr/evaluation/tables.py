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


def to_rich(rows: Sequence[Row], *, beside: Sequence[str] = ()) -> list[Table]:
    """One terminal table for each protocol among `rows`, its title naming it.

    What was measured beside PSNR and SSIM has a table of its own: 80 columns hold no more.
    """
    tables = [_rich(name, some, beside) for name, some in _by_protocol(rows)]
    others = [_rich_others(name, some) for name, some in _by_protocol([r for r in rows if r.also])]
    return tables + others


def _by_protocol(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    names = sorted({row.protocol for row in rows}, key=[*PROTOCOLS].index)
    return [(name, [row for row in rows if row.protocol == name]) for name in names]


def _markdown(protocol: str, rows: Sequence[Row], beside: Sequence[str]) -> str:
    sets = _sorted_sets(rows)
    lines = _lines(protocol, rows, sets, beside)
    table = [["scale", "model", *sets], ["---"] * (2 + len(sets))]
    for line in lines:
        model = f"*{line.model}*" if line.source else line.model
        table.append([f"×{line.scale}", model, *(line.cells.get(s, NOTHING) for s in sets)])
    caption = f"PSNR in dB / SSIM; protocol {find_protocol(protocol).describe()}."
    if sources := dict.fromkeys(line.source for line in lines if line.source):
        caption += f" In italics: figures as printed by others ({'; '.join(sources)})."
    return "\n".join("| " + " | ".join(cells) + " |" for cells in table) + f"\n\n{caption}"


def _rich(protocol: str, rows: Sequence[Row], beside: Sequence[str]) -> Table:
    table = _rich_table(protocol, ("PSNR dB", "SSIM", "consistency dB", "seconds"))
    measured = {(row.set, row.scale, row.model): row for row in rows}
    sets = _sorted_sets(rows)
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
                table.add_row(*place, *_values(measured[set_name, line.scale, line.model]))
        table.add_section()
    if sources := dict.fromkeys(line.source for line in lines if line.source):
        table.caption = f"† published figures: {'; '.join(sources)}"
    return table


def _rich_others(protocol: str, rows: Sequence[Row]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row.also))
    table = _rich_table(protocol, names)
    for set_name in _sorted_sets(rows):
        some = [row for row in rows if row.set == set_name]
        for row in sorted(some, key=lambda row: row.scale):
            cells = [f"{row.also[name]:.4g}" if name in row.also else NOTHING for name in names]
            table.add_row(set_name, f"×{row.scale}", row.model, *cells)
        table.add_section()
    if "niqe" in names:
        table.caption = f"niqe: parameters of {fitted_to()}"
    return table


def _rich_table(protocol: str, measures: Sequence[str]) -> Table:
    table = Table(title=f"protocol {find_protocol(protocol).describe()}")
    for column in ("set", "scale", "model"):
        table.add_column(column)
    for column in measures:
        table.add_column(column, justify="right")
    return table


def _values(row: Row) -> tuple[str, str, str, str]:
    ssim = NOTHING if row.ssim is None else f"{row.ssim:.4f}"
    consistency = NOTHING if row.consistency is None else f"{row.consistency:.2f}"
    return f"{row.psnr:.2f}", ssim, consistency, f"{row.seconds:.2f}"


def _lines(
    protocol: str, rows: Iterable[Row], sets: Sequence[str], beside: Sequence[str]
) -> list[_Line]:
    lines: dict[tuple[int, str], _Line] = {}
    for row in rows:
        line = lines.setdefault((row.scale, row.model), _Line(row.scale, row.model, {}, {}))
        line.psnr[row.set] = row.psnr
        psnr, ssim, *_ = _values(row)
        line.cells[row.set] = psnr if row.ssim is None else f"{psnr} / {ssim}"
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


def _sorted_sets(rows: Iterable[Row]) -> list[str]:
    names = {row.set for row in rows}
    return [name for name in USUAL_SETS if name in names] + sorted(names - set(USUAL_SETS))

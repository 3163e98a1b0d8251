"""Tables 1, 2 and 3 and Figure 4 of the paper (4.1, 4.2) from runs that were trained here."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from prosr.errors import ConfigError, suggestion
from prosr.evaluation.tables import NOTHING, markdown
from prosr.lab import findings as judged
from prosr.lab.findings import Finding
from prosr.lab.outcome import Outcome
from prosr.lab.plan import Plan
from prosr.lab.printed import SOURCE, TABLE_1, TABLE_2, TABLE_3
from prosr.lab.statistics import Spread, gain, shown, spread
from prosr.layouts import Frozen
from prosr.scales import SCALES, Scale

CELLS = {
    "block": "single dense block",
    "dcus": "4 DCUs, D-D-D-D-S-S",
    "single-x4": "asymmetric pyramid, D-D-D-S-D-S",
    "curriculum": "with curriculum",
    "very-deep": "very deep",
    "single-x2": "×2 alone",
    "single-x8": "×8 alone",
    "simultaneous": "simultaneous",
    "laplacian-x4": "Laplacian pyramid, ×4 alone",
    "laplacian": "Laplacian pyramid",
}
"""The cells that the tables are made of; the asymmetric pyramid is ours trained for ×4 alone."""

SCHEDULES = ("simultaneous", "curriculum")
PAIRS = {"single scale": ("single-x4", "laplacian-x4"), "multi-scale": ("curriculum", "laplacian")}
"""Table 3's "ours" and "alt" for each way to train."""


class Row1(Frozen):
    """Table 1: PSNR in dB on Set14 at ×4, and its gain over the row before."""

    cell: str
    parameters: int | None
    psnr: Spread | None
    gain: Spread | None
    printed: float
    printed_parameters: float


class Row2(Frozen):
    """Table 2: gain in dB over single-scale training on each set and over all pictures."""

    cell: str
    scale: Scale
    gains: dict[str, Spread | None]
    average: Spread | None
    printed: dict[str, float]


class Row3(Frozen):
    """Table 3: PSNR in dB of ours and of the Laplacian pyramid, and the gain of ours."""

    training: str
    scale: Scale
    set: str
    ours: Spread | None
    alternative: Spread | None
    gain: Spread | None
    printed: tuple[float, float]


class CurvePoint(Frozen):
    """Validation PSNR in dB after so many steps, and the mean seconds they took."""

    step: int
    seconds: float
    psnr: Spread


class Curve(Frozen):
    """A line of Figure 4."""

    cell: str
    scale: Scale
    points: tuple[CurvePoint, ...]


class Ablation(Frozen):
    """All that is known of the paper's tables so far."""

    table_1: tuple[Row1, ...]
    table_2: tuple[Row2, ...]
    table_3: tuple[Row3, ...]
    figure_4: tuple[Curve, ...]
    findings: tuple[Finding, ...]


def check_cells(plan: Plan) -> None:
    """Raise `ConfigError` for a cell that is in none of the tables."""
    for cell in plan.cells:
        if cell not in CELLS:
            raise ConfigError(f"cells.{cell} is in none of the tables{suggestion(cell, CELLS)}")


def ablation(outcome: Outcome) -> Ablation:
    """Compute the tables and the figure from whatever is finished."""
    return Ablation(
        table_1=_table_1(outcome),
        table_2=tuple(_row_2(outcome, cell, scale) for scale in SCALES for cell in SCHEDULES),
        table_3=tuple(_row_3(outcome, *key) for key in TABLE_3),
        figure_4=tuple(_curve(outcome, cell, scale) for scale in SCALES for cell in SCHEDULES),
        findings=judged.findings(outcome),
    )


def _table_1(outcome: Outcome) -> tuple[Row1, ...]:
    rows: list[Row1] = []
    before: dict[int, float] = {}
    for cell, (printed, millions) in TABLE_1.items():
        psnr, run = outcome.psnr(cell, 4, ["Set14"]), outcome.run(cell)
        rows.append(
            Row1(
                cell=cell,
                parameters=run.parameters.get(4) if run else None,
                psnr=spread(psnr),
                gain=gain(psnr, before),
                printed=printed,
                printed_parameters=millions,
            )
        )
        before = psnr
    return tuple(rows)


def _row_2(outcome: Outcome, cell: str, scale: Scale) -> Row2:
    def over_single(sets: Sequence[str]) -> Spread | None:
        return gain(*(outcome.psnr(name, scale, sets) for name in (cell, f"single-x{scale}")))

    return Row2(
        cell=cell,
        scale=scale,
        gains={name: over_single([name]) for name in outcome.sets},
        average=over_single(outcome.sets),
        printed=TABLE_2[cell, scale],
    )


def _row_3(outcome: Outcome, training: str, scale: Scale, set_name: str) -> Row3:
    ours, theirs = (outcome.psnr(cell, scale, [set_name]) for cell in PAIRS[training])
    return Row3(
        training=training,
        scale=scale,
        set=set_name,
        ours=spread(ours),
        alternative=spread(theirs),
        gain=gain(ours, theirs),
        printed=TABLE_3[training, scale, set_name],
    )


def _curve(outcome: Outcome, cell: str, scale: Scale) -> Curve:
    psnr: dict[int, dict[int, float]] = {}
    seconds: dict[int, list[float]] = {}
    for run in outcome.runs:
        for point in run.validation:
            if run.cell == cell and scale in point.psnr:
                psnr.setdefault(point.step, {})[run.seed] = point.psnr[scale]
                seconds.setdefault(point.step, []).append(point.seconds)
    points = []
    for step in sorted(psnr):
        value = spread(psnr[step])
        assert value is not None, "a step without a score has no entry"
        points.append(CurvePoint(step=step, seconds=round(fmean(seconds[step]), 1), psnr=value))
    return Curve(cell=cell, scale=scale, points=tuple(points))


def to_markdown(known: Ablation) -> str:
    """Tables 1, 2 and 3, with the paper's figures beside ours, and what they say."""
    return "\n\n".join(
        [
            "**Table 1.** ×4, PSNR in dB on Set14, and the gain over the row before.",
            _markdown_1(known.table_1),
            "**Table 2.** Gain in dB over training for one scale alone.",
            _markdown_2(known.table_2),
            "**Table 3.** ProSR (ours) and the Laplacian pyramid with deep supervision (alt).",
            _markdown_3(known.table_3),
            "Protocol `paper`. Mean ± standard deviation over seeds, and their number in "
            "brackets; a gain is taken seed by seed. Averages are over the pictures of all sets. "
            f"In italics: as printed ({SOURCE}; its averages include Urban100 and DIV2K).",
            "**Findings.** What the tables say of the paper's claims.",
            judged.to_markdown(known.findings),
        ]
    )


def _markdown_1(rows: Sequence[Row1]) -> str:
    lines = []
    before = None
    for row in rows:
        count = NOTHING if row.parameters is None else f"{row.parameters / 1e6:.2f} M"
        printed_gain = NOTHING if before is None else f"*{row.printed - before:+.2f}*"
        before = row.printed
        printed = [f"*{row.printed_parameters:g} M*", f"*{row.printed:.2f}*", printed_gain]
        ours = [count, shown(row.psnr), shown(row.gain, sign=True)]
        lines.append([CELLS[row.cell], *ours, *printed])
    head = ["model", "parameters", "PSNR", "gain", "*parameters*", "*PSNR*", "*gain*"]
    return markdown(head, lines)


def _markdown_2(rows: Sequence[Row2]) -> str:
    sets = list(rows[0].gains)
    lines = []
    for row in rows:
        cells = [*(row.gains[name] for name in sets), row.average]
        printed = [row.printed.get(name) for name in (*sets, "average")]
        texts = [
            shown(ours, sign=True) + ("" if p is None else f" *{p:+.2f}*")
            for ours, p in zip(cells, printed, strict=True)
        ]
        lines.append([f"×{row.scale}", row.cell, *texts])
    return markdown(["scale", "training", *sets, "average"], lines)


def _markdown_3(rows: Sequence[Row3]) -> str:
    lines = []
    for row in rows:
        ours, theirs = row.printed
        here = [shown(row.ours), shown(row.alternative), shown(row.gain, sign=True)]
        printed = [f"*{ours:.2f}*", f"*{theirs:.2f}*", f"*{ours - theirs:+.2f}*"]
        lines.append([row.training, row.set, f"×{row.scale}", *here, *printed])
    head = ["training", "set", "scale", "ours", "alt", "gain", "*ours*", "*alt*", "*gain*"]
    return markdown(head, lines)

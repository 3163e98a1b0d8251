"""Write the tables and figures of a comparison as Markdown, JSON and SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from prosr.evaluation.results import ScoreRow
from prosr.files import write_text
from prosr.lab import table_4
from prosr.lab.ablation import CELLS, Ablation, Finding, Table1Row, Table2Row, Table3Row, ablation
from prosr.lab.outcome import ComparisonOutcome
from prosr.lab.plots import PlotPoint, figure_4, quality_plot
from prosr.lab.published import PAPER
from prosr.lab.statistics import shown
from prosr.lab.tables import NOTHING, markdown


def write_ablation(outcome: ComparisonOutcome, folder: Path) -> None:
    """Write tables.json, tables.md and figure-4.svg, and replace existing ones."""
    tables = ablation(outcome)
    write_text(folder / "tables.json", tables.model_dump_json(indent=2) + "\n")
    write_text(folder / "tables.md", to_markdown(tables) + "\n")
    write_text(folder / "figure-4.svg", figure_4(tables.figure_4))


def write_table_4(
    outcome: ComparisonOutcome, beside: Iterable[ScoreRow], speeds: table_4.Speeds, folder: Path
) -> None:
    """Write table-4.json and .md, and plots of quality against parameters and time.

    A plot is omitted if no system's cost is known.
    """
    table = table_4.table_4(outcome, beside, speeds)
    texts = [table_4.to_markdown(table, metric) for metric in ("psnr", "ssim")]
    write_text(folder / "table-4.json", table.model_dump_json(indent=2) + "\n")
    write_text(folder / "table-4.md", "\n\n".join(texts) + "\n")
    times: dict[str, list[PlotPoint]] = {}
    sizes: dict[str, list[PlotPoint]] = {}
    for line in table.lines:
        for kind, psnr in line.quality.items():
            panel, group = f"×{line.scale}", table_4.KINDS[kind]
            point = PlotPoint(line.system, group, line.seconds or 0.0, psnr)
            if line.seconds:
                times.setdefault(panel, []).append(point)
            if line.parameters:
                sizes.setdefault(panel, []).append(point._replace(cost=line.parameters / 1e6))
    seconds = "seconds of the CPU for a megapixel of enlarged picture"
    plots = {"time": (times, seconds), "parameters": (sizes, "million parameters")}
    for name, (panels, cost) in plots.items():
        if panels:
            write_text(folder / f"quality-{name}.svg", quality_plot(panels, table.plotted, cost))


def to_markdown(tables: Ablation) -> str:
    """Tables 1, 2 and 3 with the paper's scores beside ours, and the findings."""
    return "\n\n".join(
        [
            "**Table 1.** ×4, PSNR in dB on Set14, and the gain over the row above.",
            _table_1(tables.table_1),
            "**Table 2.** Gain in dB over training for one scale alone.",
            _table_2(tables.table_2),
            "**Table 3.** ProSR (ours) and the Laplacian pyramid with deep supervision (alt).",
            _table_3(tables.table_3),
            "Protocol `paper`. Mean ± standard deviation over seeds, and their number in "
            "brackets; a gain is taken seed by seed. Averages are over the pictures of all sets. "
            f"In italics: as printed ({PAPER}; its averages include Urban100 and DIV2K).",
            "**Findings.** Whether the paper's claims hold here.",
            findings_table(tables.findings),
        ]
    )


def _table_1(rows: Sequence[Table1Row]) -> str:
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


def _table_2(rows: Sequence[Table2Row]) -> str:
    sets = list(rows[0].gains)
    lines = []
    for row in rows:
        gains = {**row.gains, "average": row.average}
        texts = [
            shown(ours, sign=True) + (f" *{row.printed[name]:+.2f}*" if name in row.printed else "")
            for name, ours in gains.items()
        ]
        lines.append([f"×{row.scale}", row.cell, *texts])
    return markdown(["scale", "training", *sets, "average"], lines)


def _table_3(rows: Sequence[Table3Row]) -> str:
    lines = []
    for row in rows:
        ours, theirs = row.printed
        here = [shown(row.ours), shown(row.alternative), shown(row.gain, sign=True)]
        printed = [f"*{ours:.2f}*", f"*{theirs:.2f}*", f"*{ours - theirs:+.2f}*"]
        lines.append([row.training, row.set, f"×{row.scale}", *here, *printed])
    head = ["training", "set", "scale", "ours", "alt", "gain", "*ours*", "*alt*", "*gain*"]
    return markdown(head, lines)


def findings_table(findings: Sequence[Finding]) -> str:
    """Claims, gains and verdicts, with the rule as caption."""
    lines = []
    for one in findings:
        printed = "" if one.printed is None else f"*{one.printed:+.2f}*"
        lines.append([one.claim, printed, shown(one.gain, sign=True), one.verdict])
    caption = (
        "Gains in dB, mean ± standard deviation (seeds). A finding holds if the 95 % interval "
        "of the mean (Student's t) lies above zero, does not hold if it lies below, and is "
        "open otherwise."
    )
    return markdown(["finding", "*printed*", "here", "verdict"], lines) + f"\n\n{caption}"

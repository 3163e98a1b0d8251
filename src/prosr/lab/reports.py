"""Tables and figures of a comparison as files: JSON, Markdown and SVG."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prosr.evaluation.results import Row
from prosr.files import write_text
from prosr.lab import systems
from prosr.lab.ablation import ablation, to_markdown
from prosr.lab.outcome import Outcome
from prosr.lab.plots import Dot, figure_4, quality_plot


def write_ablation(outcome: Outcome, folder: Path) -> None:
    """Write tables.json, tables.md and figure-4.svg in place of those that are there."""
    known = ablation(outcome)
    write_text(folder / "tables.json", known.model_dump_json(indent=2) + "\n")
    write_text(folder / "tables.md", to_markdown(known) + "\n")
    write_text(folder / "figure-4.svg", figure_4(known.figure_4))


def write_table_4(
    outcome: Outcome, beside: Iterable[Row], speeds: systems.Speeds, folder: Path
) -> None:
    """Write table-4.json and .md, and plots of quality against parameters and, if known, time."""
    table = systems.table_4(outcome, beside, speeds)
    texts = [systems.to_markdown(table, metric) for metric in ("psnr", "ssim")]
    write_text(folder / "table-4.json", table.model_dump_json(indent=2) + "\n")
    write_text(folder / "table-4.md", "\n\n".join(texts) + "\n")
    times: dict[str, list[Dot]] = {}
    sizes: dict[str, list[Dot]] = {}
    for line in table.lines:
        for kind, psnr in line.quality.items():
            panel, group = f"×{line.scale}", systems.KINDS[kind]
            dot = Dot(line.system, group, line.seconds or 0.0, psnr)
            if line.seconds:
                times.setdefault(panel, []).append(dot)
            if line.parameters:
                sizes.setdefault(panel, []).append(dot._replace(cost=line.parameters / 1e6))
    seconds = "seconds of the CPU for a megapixel of enlarged picture"
    if times:
        write_text(folder / "quality-time.svg", quality_plot(times, table.plotted, seconds))
    parameters = quality_plot(sizes, table.plotted, "million parameters")
    write_text(folder / "quality-parameters.svg", parameters)

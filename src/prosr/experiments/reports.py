"""Tables and figures of a comparison as files: JSON, Markdown and SVG."""

from __future__ import annotations

from pathlib import Path

from prosr.experiments.ablation import ablation, to_markdown
from prosr.experiments.outcome import Outcome
from prosr.experiments.plots import figure_4
from prosr.files import write_text


def write_ablation(outcome: Outcome, folder: Path) -> None:
    """Write tables.json, tables.md and figure-4.svg in place of those that are there."""
    known = ablation(outcome)
    write_text(folder / "tables.json", known.model_dump_json(indent=2) + "\n")
    write_text(folder / "tables.md", to_markdown(known) + "\n")
    write_text(folder / "figure-4.svg", figure_4(known.figure_4))

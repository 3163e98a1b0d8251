"""Draw docs/engines.svg, seconds per megapixel of each engine, from results/speed/engines.json."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from prosr.lab.measurements import TimingRow, read_rows

DOCS = Path(__file__).parent
MEASURED = DOCS.parent / "results" / "speed" / "engines.json"
PICTURE = DOCS / "engines.svg"
# Safe for colour-blind readers (Okabe and Ito).
MARKERS = ("s", "o", "D", "^", "v")
COLOURS = ("#999999", "#0072b2", "#009e73", "#d55e00", "#cc79a7")


def draw(rows: Sequence[TimingRow]) -> str:
    """One line per case with a marker for each engine, on a logarithmic axis."""
    cases = list(dict.fromkeys(row.case for row in rows))
    subjects = sorted({row.subject for row in rows}, reverse=True)
    # Otherwise the ids in the file are random.
    with matplotlib.rc_context({"svg.hashsalt": "prosr", "font.size": 10}):
        figure = Figure(figsize=(8, 1.5 + 0.4 * len(cases)), layout="constrained")
        axes = figure.add_subplot()
        for place, subject in enumerate(subjects):
            own = [row for row in rows if row.subject == subject and row.megapixels]
            heights = [cases.index(row.case) for row in own]
            speeds = [row.seconds / (row.megapixels or 1) for row in own]
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            axes.scatter(speeds, heights, s=50, marker=marker, color=colour, label=subject)
        axes.set_yticks(range(len(cases)), cases)
        axes.set_ylim(len(cases) - 0.4, -0.6)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="x", color="#d9dce3", linewidth=0.6)
        axes.set_xlabel("seconds per megapixel of the result (less is better)")
        figure.legend(loc="outside upper center", ncols=len(subjects), frameon=False, fontsize=8)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()


if __name__ == "__main__" and MEASURED.exists():
    PICTURE.write_text(draw(read_rows(MEASURED)), encoding="utf-8")

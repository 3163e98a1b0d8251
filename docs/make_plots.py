"""Draw the documents' plots from results/, in the one style of `prosr.lab.plots`.

python docs/make_plots.py

Markers and line styles differ as well as colours, so that the plots can be read in black and white.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from prosr.data.degradations import NAMED
from prosr.evaluation.results import read_results
from prosr.lab.ablation import ablation
from prosr.lab.measurements import TimingRow, read_rows
from prosr.lab.models import speeds
from prosr.lab.outcome import read_outcome
from prosr.lab.plots import STYLE, WIDTH, figure_4, svg
from prosr.lab.reports import write_table_4

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
MODELS = RESULTS / "speed" / "models.json"

# Safe for colour-blind readers (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#999999", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
LOOKS: list[dict[str, Any]] = [
    {"color": colour, "marker": marker, "linestyle": line}
    for colour, marker, line in zip(COLOURS, MARKERS, cycle(LINES), strict=False)
]
POINTS = [look | {"linestyle": ""} for look in LOOKS]


def one(height: float, plot: Callable[[Axes], None]) -> str:
    """A figure with one plot, `height` inches high."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        plot(axes := figure.add_subplot())
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=10)
        return svg(figure)


def engines(rows: Sequence[TimingRow]) -> str:
    """Seconds per megapixel: a line per case, a marker for each engine."""
    cases = list(dict.fromkeys(row.case for row in rows))

    def plot(axes: Axes) -> None:
        for subject, look in zip(sorted({row.subject for row in rows}), POINTS, strict=False):
            own = [row for row in rows if row.subject == subject and row.megapixels]
            heights = [cases.index(row.case) for row in own]
            times = [row.seconds / (row.megapixels or 1) for row in own]
            axes.plot(times, heights, **look, label=subject)
        axes.set_yticks(range(len(cases)), cases)
        axes.set_ylim(len(cases) - 0.4, -0.6)
        log_axis(axes, "x", "seconds per megapixel of the result")

    return one(1.5 + 0.3 * len(cases), plot)


def memory(rows: Sequence[TimingRow]) -> str:
    """Peak memory of the process over megapixels of the result: a line for each engine."""

    def plot(axes: Axes) -> None:
        for subject, look in zip(sorted({row.subject for row in rows}), LOOKS, strict=False):
            own = [row for row in rows if row.subject == subject and row.memory and row.megapixels]
            own.sort(key=lambda row: row.megapixels or 0)
            sizes, peaks = zip(*((r.megapixels, (r.memory or 0) / 1e9) for r in own), strict=True)
            axes.plot(sizes, peaks, **look, label=subject)
        log_axis(axes, "x", "megapixels of the result")
        log_axis(axes, "y", "peak memory in GB")

    return one(4.2, plot)


def log_axis(axes: Axes, which: Literal["x", "y"], label: str) -> None:
    axes.set(**{f"{which}scale": "log", f"{which}label": label})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def degradations() -> str:
    """Gain over the bicubic on Set14 at ×4, for each named degradation of the inputs."""
    rows = [
        row
        for row in read_results(RESULTS / "degraded" / "scores.json")
        if (row.set, row.scale) == ("Set14", 4)
    ]
    psnr = {(row.model, row.protocol.partition("+")[2] or "none"): row.psnr for row in rows}
    names = list(NAMED)

    def plot(axes: Axes) -> None:
        models = sorted({row.model for row in rows} - {"bicubic"})
        for number, (model, look) in enumerate(zip(models, POINTS, strict=False)):
            known = [name for name in names if (model, name) in psnr]
            gains = [psnr[model, name] - psnr["bicubic", name] for name in known]
            shift = 0.15 * (number - (len(models) - 1) / 2)
            heights = [names.index(name) + shift for name in known]
            axes.plot(gains, heights, **look, label=model)
        axes.axvline(0, color="#1f2430", linewidth=1)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("dB above the bicubic, Set14 ×4")

    return one(4.6, plot)


def training_curves() -> str:
    """PSNR at ×4 on the validation pictures over training time, means over seeds."""
    curves: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for run in read_outcome(RESULTS / "ablation").runs:
        for point in run.validation:
            if 4 in point.psnr:
                steps = curves.setdefault(run.cell, {})
                steps.setdefault(point.step, []).append((point.seconds / 60, point.psnr[4]))

    def plot(axes: Axes) -> None:
        for (cell, points), look in zip(curves.items(), LOOKS, strict=False):
            means = [tuple(map(fmean, zip(*some, strict=True))) for some in points.values()]
            axes.plot(*zip(*means, strict=True), **look, label=cell)
        axes.set_xlabel("minutes of training")
        axes.set_ylabel("PSNR at ×4 on Kodak's pictures, dB")

    return one(5.2, plot)


PLOTS: dict[str, Callable[[], str]] = {
    "engines.svg": lambda: engines(read_rows(RESULTS / "speed" / "engines.json")),
    "memory.svg": lambda: memory(read_rows(RESULTS / "speed" / "memory.json")),
    "degradations.svg": degradations,
    "training-curves.svg": training_curves,
}


def main() -> None:
    """Draw all plots, also those that `prosr ablate` and `prosr compare` draw."""
    for name, draw in PLOTS.items():
        (DOCS / name).write_text(draw(), encoding="utf-8")
    for folder in (RESULTS / "ablation", RESULTS / "gan-ablation"):
        curves = ablation(read_outcome(folder)).figure_4
        (folder / "figure-4.svg").write_text(figure_4(curves), encoding="utf-8")
    beside = [row for name in ("scores", "peers") for row in read_results(RESULTS / f"{name}.json")]
    compared = RESULTS / "compare"
    write_table_4(read_outcome(compared), beside, speeds(read_rows(MODELS)), compared)


if __name__ == "__main__":
    main()

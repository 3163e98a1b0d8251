"""Plots as SVG, the same bytes from the same numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from prosr.lab.ablation import Curve

INK, GRID = "#1f2430", "#d9dce3"
# Told apart by the colour-blind too (Okabe and Ito).
COLOURS = {2: "#0072b2", 4: "#d55e00", 8: "#009e73"}
LINES = {"curriculum": "-", "simultaneous": "--"}
MARKERS = ("o", "s", "D", "^")

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "prosr",  # names inside the file are random otherwise
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


class Dot(NamedTuple):
    """A system in a plot of quality against cost; `group` is told apart by its marker."""

    name: str
    group: str
    cost: float
    psnr: float


def figure_4(curves: Sequence[Curve]) -> str:
    """PSNR over training time, a panel for each scale, a line for each schedule (Fig. 4).

    The band is one standard deviation over seeds, on either side of the mean.
    """
    scales = sorted({curve.scale for curve in curves})
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4 * len(scales), 3.6), layout="constrained")
        for place, scale in enumerate(scales, 1):
            axes = figure.add_subplot(1, len(scales), place)
            for curve in curves:
                if curve.scale == scale and curve.points:
                    _draw_curve(axes, curve)
            axes.set_title(f"×{scale}")
            axes.set_xlabel("minutes of training, as steps were timed")
            axes.set_xlim(left=0)
            if place == 1:
                axes.set_ylabel("PSNR on the validation set, dB")
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="lower right")
        return _svg(figure)


def quality_plot(panels: Mapping[str, Sequence[Dot]], plotted: str, cost: str) -> str:
    """PSNR on the set `plotted` against a cost on a logarithmic axis, a panel for each scale."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6 * len(panels), 5), layout="constrained")
        groups = sorted({dot.group for dots in panels.values() for dot in dots})
        known: dict[str, Artist] = {}
        for place, (title, dots) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(1, len(panels), place)
            axes.set_xscale("log")
            for number, group in enumerate(groups):
                chosen = [dot for dot in dots if dot.group == group]
                _draw_dots(axes, chosen, group, number)
            axes.set_title(title)
            axes.set_xlabel(cost)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
            axes.margins(0.12)
            known |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.axes[0].set_ylabel(f"PSNR on {plotted}, dB")
        columns = min(len(groups), 2 * len(panels))
        figure.legend(known.values(), known, loc="outside lower center", ncols=columns)
        return _svg(figure)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    minutes = [point.seconds / 60 for point in curve.points]
    mean = [point.psnr.mean for point in curve.points]
    reach = [point.psnr.deviation or 0.0 for point in curve.points]
    low = [m - r for m, r in zip(mean, reach, strict=True)]
    high = [m + r for m, r in zip(mean, reach, strict=True)]
    colour = COLOURS[curve.scale]
    seeds = max(len(point.psnr.seeds) for point in curve.points)
    label = f"{curve.cell} ({seeds} seed{'s' if seeds > 1 else ''})"
    axes.plot(minutes, mean, LINES[curve.cell], color=colour, linewidth=1.6, label=label)
    axes.fill_between(minutes, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_dots(axes: Axes, dots: Sequence[Dot], group: str, number: int) -> None:
    colour = list(COLOURS.values())[number % len(COLOURS)]
    axes.scatter(
        [dot.cost for dot in dots],
        [dot.psnr for dot in dots],
        marker=MARKERS[number % len(MARKERS)],
        color=colour,
        label=group,
    )
    for dot in dots:
        axes.annotate(
            dot.name, (dot.cost, dot.psnr), xytext=(4, 4), textcoords="offset points", fontsize=9
        )


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    # Matplotlib ends some lines with a space.
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"

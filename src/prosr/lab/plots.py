"""Reproducible SVG plots: equal numbers give equal bytes."""

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
# Safe for colour-blind readers (Okabe and Ito).
COLOURS = {2: "#0072b2", 4: "#d55e00", 8: "#009e73"}
LINES = {"curriculum": "-", "simultaneous": "--"}
MARKERS = ("o", "s", "D", "^")
WIDTH = 5.4  # inches: on a phone, text then has its natural size

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "prosr",  # otherwise the ids in the file are random
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


class PlotPoint(NamedTuple):
    """A system in a plot of quality against cost; each `group` has its own marker."""

    name: str
    group: str
    cost: float
    psnr: float


def figure_4(curves: Sequence[Curve]) -> str:
    """PSNR over training time: one panel per scale, one line per schedule (Fig. 4).

    The band is the mean ± one standard deviation over seeds.
    """
    scales = sorted({curve.scale for curve in curves})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2 * len(scales)), layout="constrained")
        for place, scale in enumerate(scales, 1):
            axes = figure.add_subplot(len(scales), 1, place)
            for curve in curves:
                if curve.scale == scale and curve.points:
                    _draw_curve(axes, curve)
            axes.set_title(f"×{scale}")
            axes.set_xlim(left=0)
            axes.set_ylabel("PSNR on the validation set, dB")
            if place == len(scales):
                axes.set_xlabel("minutes of training, as steps were timed")
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="lower right")
        return svg(figure)


def quality_plot(panels: Mapping[str, Sequence[PlotPoint]], plotted: str, cost: str) -> str:
    """PSNR in dB on the set `plotted` against a cost on a logarithmic axis; one plot per panel.

    `cost` is the label of the axis.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.6 * len(panels)), layout="constrained")
        groups = sorted({point.group for points in panels.values() for point in points})
        known: dict[str, Artist] = {}
        for place, (title, points) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(len(panels), 1, place)
            axes.set_xscale("log")
            for number, group in enumerate(groups):
                chosen = [point for point in points if point.group == group]
                _draw_points(axes, chosen, group, number)
            axes.set_title(title)
            axes.set_ylabel(f"PSNR on {plotted}, dB")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
            axes.margins(0.12)
            known |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.axes[-1].set_xlabel(cost)
        figure.legend(known.values(), known, loc="outside lower center", ncols=2)
        return svg(figure)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    minutes = [point.seconds / 60 for point in curve.points]
    mean = [point.psnr.mean for point in curve.points]
    deviation = [point.psnr.deviation or 0.0 for point in curve.points]
    low = [m - d for m, d in zip(mean, deviation, strict=True)]
    high = [m + d for m, d in zip(mean, deviation, strict=True)]
    colour = COLOURS[curve.scale]
    seeds = max(len(point.psnr.seeds) for point in curve.points)
    label = f"{curve.cell} ({seeds} seed{'s' if seeds > 1 else ''})"
    axes.plot(minutes, mean, LINES[curve.cell], color=colour, linewidth=1.6, label=label)
    axes.fill_between(minutes, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_points(axes: Axes, points: Sequence[PlotPoint], group: str, number: int) -> None:
    colour, marker = list(COLOURS.values())[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    costs, scores = [point.cost for point in points], [point.psnr for point in points]
    axes.scatter(costs, scores, marker=marker, color=colour, label=group)
    for point in points:
        place = point.cost, point.psnr
        axes.annotate(point.name, place, (4, 4), textcoords="offset points", fontsize=9)


def svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    # Matplotlib ends some lines with a space.
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"

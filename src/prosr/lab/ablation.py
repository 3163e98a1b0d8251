"""Tables 1, 2 and 3, Figure 4 and the findings of the paper (4.1, 4.2), from our own runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from prosr.errors import ConfigError, suggestion
from prosr.lab.outcome import ComparisonOutcome
from prosr.lab.plan import ComparisonPlan
from prosr.lab.published import TABLE_1, TABLE_2, TABLE_3
from prosr.lab.statistics import Spread, Verdict, gain, spread, verdict
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
"""The cells of the tables and their descriptions; "single-x4" is ProSR trained for ×4 alone."""

SCHEDULES = ("simultaneous", "curriculum")
PAIRS = {"single scale": ("single-x4", "laplacian-x4"), "multi-scale": ("curriculum", "laplacian")}
"""Table 3's cells "ours" and "alt" by the kind of training."""


class Table1Row(Frozen):
    """Table 1: PSNR in dB on Set14 at ×4, and the gain over the row above."""

    cell: str
    parameters: int | None
    psnr: Spread | None
    gain: Spread | None
    printed: float
    printed_parameters: float


class Table2Row(Frozen):
    """Table 2: gain in dB over single-scale training on each set, and over all pictures."""

    cell: str
    scale: Scale
    gains: dict[str, Spread | None]
    average: Spread | None
    printed: dict[str, float]


class Table3Row(Frozen):
    """Table 3: PSNR in dB of ours and of the Laplacian pyramid, and the gain of ours."""

    training: str
    scale: Scale
    set: str
    ours: Spread | None
    alternative: Spread | None
    gain: Spread | None
    printed: tuple[float, float]


class CurvePoint(Frozen):
    """Validation PSNR in dB after a number of steps, and the mean seconds that they took."""

    step: int
    seconds: float
    psnr: Spread


class Curve(Frozen):
    """A line of Figure 4."""

    cell: str
    scale: Scale
    points: tuple[CurvePoint, ...]


class Finding(Frozen):
    """A claim of the paper, its gain in dB there and here, and whether it holds here."""

    claim: str
    printed: float | None
    gain: Spread | None
    verdict: Verdict


class Ablation(Frozen):
    """Tables, figure and findings from the runs that are finished."""

    table_1: tuple[Table1Row, ...]
    table_2: tuple[Table2Row, ...]
    table_3: tuple[Table3Row, ...]
    figure_4: tuple[Curve, ...]
    findings: tuple[Finding, ...]


def check_cells(plan: ComparisonPlan) -> None:
    """Raise `ConfigError` for a cell that no table has."""
    for cell in plan.cells:
        if cell not in CELLS:
            raise ConfigError(f"cells.{cell} is in none of the tables{suggestion(cell, CELLS)}")


def ablation(outcome: ComparisonOutcome) -> Ablation:
    """Compute tables, figure and findings from the finished runs."""
    return Ablation(
        table_1=tuple(_table_1(outcome)),
        table_2=tuple(_row_2(outcome, cell, scale) for scale in SCALES for cell in SCHEDULES),
        table_3=tuple(_row_3(outcome, *key) for key in TABLE_3),
        figure_4=tuple(_curve(outcome, cell, scale) for scale in SCALES for cell in SCHEDULES),
        findings=tuple(findings(outcome)),
    )


def _table_1(outcome: ComparisonOutcome) -> Iterator[Table1Row]:
    before: dict[int, float] = {}
    for cell, (printed, millions) in TABLE_1.items():
        psnr, run = outcome.psnr(cell, 4, ["Set14"]), outcome.run(cell)
        yield Table1Row(
            cell=cell,
            parameters=run.parameters.get(4) if run else None,
            psnr=spread(psnr),
            gain=gain(psnr, before),
            printed=printed,
            printed_parameters=millions,
        )
        before = psnr


def _row_2(outcome: ComparisonOutcome, cell: str, scale: Scale) -> Table2Row:
    def over_single(sets: Sequence[str]) -> Spread | None:
        return gain(*(outcome.psnr(name, scale, sets) for name in (cell, f"single-x{scale}")))

    return Table2Row(
        cell=cell,
        scale=scale,
        gains={name: over_single([name]) for name in outcome.sets},
        average=over_single(outcome.sets),
        printed=TABLE_2[cell, scale],
    )


def _row_3(outcome: ComparisonOutcome, training: str, scale: Scale, set_name: str) -> Table3Row:
    ours, theirs = (outcome.psnr(cell, scale, [set_name]) for cell in PAIRS[training])
    return Table3Row(
        training=training,
        scale=scale,
        set=set_name,
        ours=spread(ours),
        alternative=spread(theirs),
        gain=gain(ours, theirs),
        printed=TABLE_3[training, scale, set_name],
    )


def _curve(outcome: ComparisonOutcome, cell: str, scale: Scale) -> Curve:
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
        assert value is not None, "every step in psnr has a score"
        points.append(CurvePoint(step=step, seconds=round(fmean(seconds[step]), 1), psnr=value))
    return Curve(cell=cell, scale=scale, points=tuple(points))


def findings(outcome: ComparisonOutcome) -> Iterator[Finding]:
    """Judge the claims of sections 4.1 and 4.2, on Set14 like Table 1 or on all pictures."""

    def judge(
        claim: str,
        ours: str,
        theirs: str,
        scale: Scale,
        printed: float | None,
        sets: Sequence[str] = outcome.sets,
    ) -> Finding:
        value = gain(outcome.psnr(ours, scale, sets), outcome.psnr(theirs, scale, sets))
        return Finding(claim=claim, printed=printed, gain=value, verdict=verdict(value))

    steps = (
        ("DCUs are better than a single dense block", "dcus", "block"),
        ("the asymmetric pyramid is better than direct upscaling", "single-x4", "dcus"),
        ("training for all scales by the curriculum gains at ×4", "curriculum", "single-x4"),
        ("the very deep network is better", "very-deep", "curriculum"),
    )
    for claim, ours, before in steps:
        yield judge(claim, ours, before, 4, TABLE_1[ours][0] - TABLE_1[before][0], ["Set14"])
    for scale in SCALES:
        alone, printed = f"single-x{scale}", TABLE_2["curriculum", scale]["average"]
        claim = f"the curriculum is better than training for ×{scale} alone"
        yield judge(claim, "curriculum", alone, scale, printed)
        printed -= TABLE_2["simultaneous", scale]["average"]
        claim = f"the curriculum is better than simultaneous training at ×{scale}"
        yield judge(claim, "curriculum", "simultaneous", scale, printed)
    claim = "ProSR is better than the Laplacian pyramid"
    yield judge(f"{claim}, ×4 alone", "single-x4", "laplacian-x4", 4, None)
    for scale in SCALES:
        yield judge(f"{claim} at ×{scale}", "curriculum", "laplacian", scale, None)

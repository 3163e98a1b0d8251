"""Table 4: systems on the same pictures, published, released, trained here and ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from types import MappingProxyType

from prosr.checkpoints.weights import is_bundled, weights_name
from prosr.config import PRESETS
from prosr.evaluation.published import PROTOCOL, PUBLISHED, SSIM_SOURCE, Published
from prosr.evaluation.results import Row
from prosr.evaluation.tables import NOTHING, USUAL_SETS, markdown, sorted_sets
from prosr.lab.outcome import Outcome
from prosr.lab.statistics import Spread, spread
from prosr.layouts import Frozen
from prosr.nets.build import build
from prosr.scales import SCALES, Scale

KINDS = {
    "published": "published",
    "released": "released weights, scored here",
    "trained": "trained here",
    "ours": "ours, scored here",
}
"""The columns of the table; where the weights were made that a figure is of."""

SYSTEMS = (
    *("bicubic", "SRCNN", "VDSR", "DRRN", "LapSRN", "MS-LapSRN", "SRDenseNet", "SRResNet"),
    *("SRGAN", "EnhanceNet", "EnhanceNet-PA", "ProSR-s", "EDSR baseline", "EDSR", "ProSR-l"),
)
"""In the order of the table, under their authors' names; others follow under their own."""

Speeds = Mapping[tuple[str, Scale], float]
NO_SPEEDS: Speeds = MappingProxyType({})

_WITHOUT_SCORES = USUAL_SETS[:3]
"""The sets of the table where nothing has been scored."""

PLOTTED = "Set14"
"""The set of the plots, as of the paper's Table 1; the slowest systems are scored on no larger."""


class Figure(Frozen):
    """A system's score on one set; several runs give the spread of each number."""

    psnr: Spread
    ssim: Spread | None


class Line(Frozen):
    """A system at a scale: for each kind its score on each set, and what it costs.

    `source` printed the published PSNR. `quality` is PSNR in dB on the plotted set,
    `seconds` the time for a megapixel of enlarged picture, where it was measured.
    """

    system: str
    scale: Scale
    parameters: int | None
    scores: dict[str, dict[str, Figure]]
    source: str | None
    quality: dict[str, float]
    seconds: float | None


class Table4(Frozen):
    """All lines, the scales rising; `minutes` is what a run trained here took.

    `plotted` is the set of the plots.
    """

    sets: tuple[str, ...]
    plotted: str
    minutes: float | None
    lines: tuple[Line, ...]


def table_4(outcome: Outcome, beside: Iterable[Row] = (), speeds: Speeds = NO_SPEEDS) -> Table4:
    """Put runs of systems together with what is published and other scores made here.

    A run's system is its cell's name without the scale, as in "edsr-x4". Rows in `beside`
    are ours if a network of that name is bundled, else of converted weights. `speeds` are
    seconds for a megapixel by preset and scale.
    """
    rows: dict[tuple[int, str, str], list[Row]] = {}
    for row in outcome.rows:
        rows.setdefault((row.scale, _system(row.model), "trained"), []).append(row)
    for row in beside:
        if row.protocol == PROTOCOL and _is_for(row.model, row.scale):
            kind = "ours" if is_bundled(weights_name(row.model)) else "released"
            rows.setdefault((row.scale, _system(row.model), kind), []).append(row)
    scored = sorted_sets(row for some in rows.values() for row in some)
    sets = tuple(scored) or _WITHOUT_SCORES
    systems = {system: None for _, system, _ in sorted(rows)}
    order = [*SYSTEMS, *(system for system in systems if system not in SYSTEMS)]
    seconds = {(_system(name), scale): took for (name, scale), took in speeds.items()}
    for run in outcome.runs:
        for scale in run.recipe.scales:
            # SRGAN is SRResNet's net: it is timed under the name of that.
            if (took := speeds.get((run.recipe.model, scale))) is not None:
                seconds[_system(run.cell), scale] = took

    def line(system: str, scale: Scale) -> Line:
        own = {kind: rows.get((scale, system, kind), []) for kind in KINDS}
        return _line(system, scale, sets, outcome, own, seconds.get((system, scale)))

    lines = [line(system, scale) for scale in SCALES for system in order]
    taken = [run.seconds / 60 for run in outcome.runs]
    return Table4(
        sets=sets,
        plotted=_plotted(sets),
        minutes=round(median(taken), 1) if taken else None,
        lines=tuple(line for line in lines if line.scores),
    )


def to_markdown(table: Table4, metric: str = "psnr") -> str:
    """The table of one metric, "psnr" or "ssim", with a caption.

    Each column's head says where its figures are from; a column without any is left out.
    """
    titles = dict(KINDS)
    if table.minutes is not None:
        titles["trained"] += f", {table.minutes:.0f} minutes"
    kinds = [kind for kind in KINDS if any(kind in line.scores for line in table.lines)]
    lines = []
    for line in table.lines:
        cells = [_cell(line.scores.get(kind, {}), table.sets, metric) for kind in kinds]
        if set(cells) != {NOTHING}:
            lines.append([f"×{line.scale}", line.system, *cells])
    sources = "; ".join(dict.fromkeys(line.source for line in table.lines if line.source))
    unit, source = ("SSIM", SSIM_SOURCE) if metric == "ssim" else ("PSNR in dB", sources)
    printed = f" Published: {source};" if "published" in kinds else ""
    caption = (
        f"{unit} on {' / '.join(table.sets)}, protocol `{PROTOCOL}`.{printed} everything else "
        "is measured here."
    )
    head = ["scale", "system", *(titles[kind] for kind in kinds)]
    return markdown(head, lines) + f"\n\n{caption}"


def _line(
    system: str,
    scale: Scale,
    sets: Sequence[str],
    outcome: Outcome,
    rows: Mapping[str, Sequence[Row]],
    seconds: float | None,
) -> Line:
    scores = {kind: _figures(some) for kind, some in rows.items() if some}
    known = next((one for one in PUBLISHED if (one.model, one.scale) == (system, scale)), None)
    if known and (printed := _printed(known, sets)):
        scores["published"] = printed
    plotted = _plotted(sets)
    seen = {kind: [row for row in some if row.set == plotted] for kind, some in rows.items()}
    return Line(
        system=system,
        scale=scale,
        parameters=_parameters(system, scale, outcome, rows),
        scores=scores,
        source=known.source if known else None,
        quality={k: round(fmean(row.psnr for row in some), 4) for k, some in seen.items() if some},
        seconds=seconds,
    )


def _printed(known: Published, sets: Sequence[str]) -> dict[str, Figure]:
    return {
        name: _figure([known.psnr[name]], [known.ssim[name]] if name in known.ssim else [])
        for name in sets
        if name in known.psnr
    }


def _figures(rows: Sequence[Row]) -> dict[str, Figure]:
    by_set: dict[str, list[Row]] = {}
    for row in rows:
        by_set.setdefault(row.set, []).append(row)
    return {
        name: _figure([row.psnr for row in some], [r.ssim for r in some if r.ssim is not None])
        for name, some in by_set.items()
    }


def _figure(psnr: Sequence[float], ssim: Sequence[float]) -> Figure:
    value = spread(dict(enumerate(psnr)))
    assert value is not None, "a figure has a PSNR"
    return Figure(psnr=value, ssim=spread(dict(enumerate(ssim))))


def _parameters(
    system: str, scale: Scale, outcome: Outcome, rows: Mapping[str, Sequence[Row]]
) -> int | None:
    """What a run counted, or what the preset has that scores are called after."""
    for run in outcome.runs:
        if _system(run.cell) == system and scale in run.parameters:
            return run.parameters[scale]
    for row in (*rows["released"], *rows["ours"]):
        if (config := PRESETS.get(weights_name(row.model))) is not None:
            return build(config).parameter_count(scale)
    return None


def _system(name: str) -> str:
    """The system that a run, a weights file or a preset is called after: "LapSRN"."""
    plain = re.sub(r"(-2018)?(-x[248])?$", "", name.partition("/")[0])
    same = {_letters(printed): printed for printed in SYSTEMS}
    return same.get(_letters(plain), plain)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_for(model: str, scale: int) -> bool:
    """Whether a net was made for this scale, as far as its name says."""
    named = re.search(r"-x([248])$", weights_name(model))
    return named is None or int(named[1]) == scale


def _plotted(sets: Sequence[str]) -> str:
    return PLOTTED if PLOTTED in sets else sets[0]


def _cell(figures: Mapping[str, Figure], sets: Sequence[str], metric: str) -> str:
    texts = []
    for name in sets:
        figure = figures.get(name)
        value = None if figure is None else figure.psnr if metric == "psnr" else figure.ssim
        texts.append(NOTHING if value is None else _number(value, 2 if metric == "psnr" else 4))
    return NOTHING if set(texts) == {NOTHING} else " / ".join(texts)


def _number(value: Spread, digits: int) -> str:
    deviation = "" if value.deviation is None else f" ± {value.deviation:.{digits}f}"
    return f"{value.mean:.{digits}f}{deviation}"

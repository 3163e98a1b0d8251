"""Table 4: systems on the same pictures, by published, released, retrained and our weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from prosr.checkpoints.finding import find_or_build
from prosr.config import PRESETS
from prosr.evaluation.results import ScoreRow
from prosr.lab.outcome import ComparisonOutcome
from prosr.lab.published import PROTOCOL, PUBLISHED, SSIM_SOURCE, PublishedScores
from prosr.lab.statistics import Spread, spread
from prosr.lab.tables import NOTHING, USUAL_SETS, markdown, sorted_sets
from prosr.layouts import Frozen
from prosr.models import bundled_models, weights_name
from prosr.scales import SCALES, Scale

KINDS = {
    "published": "published",
    "released": "released weights, scored here",
    "trained": "trained here",
    "ours": "ours, scored here",
}
"""The columns of the table, by the origin of the weights."""

SYSTEMS = (
    *("bicubic", "SRCNN", "VDSR", "DRRN", "LapSRN", "MS-LapSRN", "SRDenseNet", "SRResNet"),
    *("SRGAN", "EnhanceNet", "EnhanceNet-PA", "ProSR-s", "EDSR baseline", "EDSR", "ProSR-l"),
)
"""Systems in the table's order, by their authors' names. Others follow under their own names."""

Speeds = Mapping[tuple[str, Scale], float]

_DEFAULT_SETS = USUAL_SETS[:3]
"""The sets of a table without scores."""

PLOTTED = "Set14"
"""The set of the plots, as in the paper's Table 1. The slowest systems have scores on no larger."""


class SetScore(Frozen):
    """A system's score on one set, over one or several runs."""

    psnr: Spread
    ssim: Spread | None


class SystemRow(Frozen):
    """A system at a scale: its scores by kind and set, and its costs.

    `source` published the PSNR. `quality` is PSNR in dB on the plotted set by kind. `seconds`
    is the time per megapixel of output, None if it was not measured.
    """

    system: str
    scale: Scale
    parameters: int | None
    scores: dict[str, dict[str, SetScore]]
    source: str | None
    quality: dict[str, float]
    seconds: float | None


class Table4(Frozen):
    """All systems by ascending scale; `minutes` is the training time of a run trained here.

    `plotted` is the set of the plots.
    """

    sets: tuple[str, ...]
    plotted: str
    minutes: float | None
    lines: tuple[SystemRow, ...]


def table_4(
    outcome: ComparisonOutcome, beside: Iterable[ScoreRow] = (), speeds: Speeds | None = None
) -> Table4:
    """Combine runs of systems with published scores and other scores made here.

    A run's system is its cell's name without the scale, as in "edsr-x4". Rows in `beside`
    are "ours" if a model of that name is bundled, otherwise "released". `speeds` are seconds
    per megapixel by preset and scale.
    """
    rows: dict[tuple[int, str, str], list[ScoreRow]] = {}
    for row in outcome.rows:
        rows.setdefault((row.scale, _system(row.model), "trained"), []).append(row)
    for row in beside:
        if row.protocol == PROTOCOL and _is_for(row.model, row.scale):
            kind = "ours" if weights_name(row.model) in bundled_models() else "released"
            rows.setdefault((row.scale, _system(row.model), kind), []).append(row)
    sets = tuple(sorted_sets(row for some in rows.values() for row in some)) or _DEFAULT_SETS
    systems = {system: None for _, system, _ in sorted(rows)}
    order = [*SYSTEMS, *(system for system in systems if system not in SYSTEMS)]
    speeds = speeds or {}
    seconds = {(_system(name), scale): took for (name, scale), took in speeds.items()}
    for run in outcome.runs:
        for scale in run.recipe.scales:
            # SRGAN's generator is SRResNet, under whose name it was timed.
            if not run.recipe.layout and (took := speeds.get((run.recipe.model, scale))):
                seconds[_system(run.cell), scale] = took

    def line(system: str, scale: Scale) -> SystemRow:
        own = {kind: rows.get((scale, system, kind), []) for kind in KINDS}
        return _line(system, scale, sets, outcome, own, seconds.get((system, scale)))

    lines = [line(system, scale) for scale in SCALES for system in order]
    minutes = [run.seconds / 60 for run in outcome.runs]
    return Table4(
        sets=sets,
        plotted=_plotted(sets),
        minutes=round(median(minutes), 1) if minutes else None,
        lines=tuple(line for line in lines if line.scores),
    )


def to_markdown(table: Table4, metric: str = "psnr") -> str:
    """The table of one metric, "psnr" or "ssim", with a caption.

    The head of a column names the origin of its scores. Empty columns are omitted.
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
    outcome: ComparisonOutcome,
    rows: Mapping[str, Sequence[ScoreRow]],
    seconds: float | None,
) -> SystemRow:
    scores = {kind: _scores(some) for kind, some in rows.items() if some}
    known = next((one for one in PUBLISHED if (one.model, one.scale) == (system, scale)), None)
    if known and (printed := _printed(known, sets)):
        scores["published"] = printed
    plotted = _plotted(sets)
    seen = {kind: [row for row in some if row.set == plotted] for kind, some in rows.items()}
    return SystemRow(
        system=system,
        scale=scale,
        parameters=_parameters(system, scale, outcome, rows),
        scores=scores,
        source=known.source if known else None,
        quality={k: round(fmean(row.psnr for row in some), 4) for k, some in seen.items() if some},
        seconds=seconds,
    )


def _printed(known: PublishedScores, sets: Sequence[str]) -> dict[str, SetScore]:
    return {
        name: _score([known.psnr[name]], [known.ssim[name]] if name in known.ssim else [])
        for name in sets
        if name in known.psnr
    }


def _scores(rows: Sequence[ScoreRow]) -> dict[str, SetScore]:
    by_set: dict[str, list[ScoreRow]] = {}
    for row in rows:
        by_set.setdefault(row.set, []).append(row)
    return {
        name: _score([row.psnr for row in some], [r.ssim for r in some if r.ssim is not None])
        for name, some in by_set.items()
    }


def _score(psnr: Sequence[float], ssim: Sequence[float]) -> SetScore:
    value = spread(dict(enumerate(psnr)))
    assert value is not None, "a score has a PSNR"
    return SetScore(psnr=value, ssim=spread(dict(enumerate(ssim))))


def _parameters(
    system: str, scale: Scale, outcome: ComparisonOutcome, rows: Mapping[str, Sequence[ScoreRow]]
) -> int | None:
    """Parameters from a run's record, or from the model that the scores are named after."""
    for run in outcome.runs:
        if _system(run.cell) == system and scale in run.parameters:
            return run.parameters[scale]
    for row in (*rows["released"], *rows["ours"]):
        if (name := weights_name(row.model)) in {*PRESETS, *bundled_models()}:
            return find_or_build(name).net.parameter_count(scale)
    return None


def _system(name: str) -> str:
    """The system that a run, a weights file or a preset is named after, as "LapSRN"."""
    plain = re.sub(r"(-2018)?(-x[248])?$", "", name.partition("/")[0])
    same = {_letters(printed): printed for printed in SYSTEMS}
    return same.get(_letters(plain), plain)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_for(model: str, scale: int) -> bool:
    """Whether the scale in the model's name, if there is one, is `scale`."""
    named = re.search(r"-x([248])$", weights_name(model))
    return named is None or int(named[1]) == scale


def _plotted(sets: Sequence[str]) -> str:
    return PLOTTED if PLOTTED in sets else sets[0]


def _cell(scores: Mapping[str, SetScore], sets: Sequence[str], metric: str) -> str:
    texts = []
    for name in sets:
        score = scores.get(name)
        value = None if score is None else score.psnr if metric == "psnr" else score.ssim
        texts.append(NOTHING if value is None else _number(value, 2 if metric == "psnr" else 4))
    return NOTHING if set(texts) == {NOTHING} else " / ".join(texts)


def _number(value: Spread, digits: int) -> str:
    deviation = "" if value.deviation is None else f" ± {value.deviation:.{digits}f}"
    return f"{value.mean:.{digits}f}{deviation}"

"""Content and order of score tables, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from prosr.data.degradations import NAMED
from prosr.evaluation.protocol import PROTOCOLS, find_protocol
from prosr.evaluation.results import ScoreRow

USUAL_SETS = ("Set5", "Set14", "BSD100", "Urban100", "DIV2K")
NOTHING = "–"
COLUMNS = ("PSNR dB", "SSIM", "consistency dB", "seconds")


def by_protocol(rows: Sequence[ScoreRow]) -> list[tuple[str, list[ScoreRow]]]:
    """Each protocol's name with its rows, in the order of `PROTOCOLS` and `NAMED`."""
    every = [find_protocol(f"{base}+{name}").name for base in PROTOCOLS for name in NAMED]
    names = sorted({row.protocol for row in rows}, key=every.index)
    return [(name, [row for row in rows if row.protocol == name]) for name in names]


def sorted_sets(rows: Iterable[ScoreRow]) -> list[str]:
    """The names of the rows' sets, the usual ones first."""
    names = {row.set for row in rows}
    return [name for name in USUAL_SETS if name in names] + sorted(names - set(USUAL_SETS))


def psnr_by_set(rows: Iterable[ScoreRow]) -> dict[tuple[int, str], dict[str, float]]:
    """For each scale and model, its PSNR in dB on each set."""
    found: dict[tuple[int, str], dict[str, float]] = {}
    for row in rows:
        found.setdefault((row.scale, row.model), {})[row.set] = row.psnr
    return found


def worst_first(psnr: Mapping[tuple[int, str], Mapping[str, float]]) -> list[tuple[int, str]]:
    """Sort scales and models by scale, then by mean PSNR.

    The mean is over the sets that all models of the scale share, or over all sets of each
    model if there is none.
    """

    def quality(key: tuple[int, str]) -> tuple[int, float, str]:
        scale, model = key
        common = set.intersection(*(set(psnr[other]) for other in psnr if other[0] == scale))
        return scale, fmean(psnr[key][name] for name in common or psnr[key]), model

    return sorted(psnr, key=quality)


def values_of(row: ScoreRow) -> dict[str, str]:
    """A row's values as text, by the names in `COLUMNS` and of further scores."""
    known = {"PSNR dB": f"{row.psnr:.2f}", "seconds": f"{row.seconds:.2f}"}
    if row.ssim is not None:
        known["SSIM"] = f"{row.ssim:.4f}"
    if row.consistency is not None:
        known["consistency dB"] = f"{row.consistency:.2f}"
    return known | {name: f"{value:.4g}" for name, value in row.also.items()}


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], left: int | None = None) -> str:
    """A Markdown table.

    With `left`, cells are padded so that the source is readable, and all columns after the
    first `left` are aligned to the right.
    """
    rows = [head, ["---"] * len(head), *lines]
    if left is not None:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows[1] = ["-" * w if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
        forms = [f"{'<' if i < left else '>'}{w}" for i, w in enumerate(widths)]
        rows = [[format(*cell) for cell in zip(row, forms, strict=True)] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)

"""Markdown tables, and scores as such tables."""

from __future__ import annotations

from collections.abc import Sequence

from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.results import ScoreRow
from prosr.evaluation.tables import (
    COLUMNS,
    NOTHING,
    by_protocol,
    psnr_by_set,
    sorted_sets,
    values_of,
    worst_first,
)


def to_markdown(rows: Sequence[ScoreRow]) -> str:
    """One Markdown table for each protocol among `rows`, with a caption that names it.

    Lines are models, by scale and then from worst to best. Columns are sets.
    """
    return "\n\n".join(_markdown(name, some) for name, some in by_protocol(rows))


def _markdown(protocol: str, rows: Sequence[ScoreRow]) -> str:
    sets = sorted_sets(rows)
    cells = {}
    for row in rows:
        values = values_of(row)
        cells[row.scale, row.model, row.set] = " / ".join(
            values[name] for name in COLUMNS[:2] if name in values
        )
    lines = [
        [f"×{scale}", model, *(cells.get((scale, model, name), NOTHING) for name in sets)]
        for scale, model in worst_first(psnr_by_set(rows))
    ]
    caption = f"PSNR in dB / SSIM; protocol {find_protocol(protocol).describe()}."
    return f"{markdown(['scale', 'model', *sets], lines)}\n\n{caption}"


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
